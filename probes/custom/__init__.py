"""Hooks that a user writes: by a spec (`kprobe:vfs_read,by=comm`) or in a file of their own.

`catalogue` is what a run knows: our hooks and theirs. Imports everything but `sources`.
"""
