"""Hooks that a user writes: by a spec (`kprobe:vfs_read,by=comm`) or in a file of their own.

`catalogue` is the set of hooks of a run: ours and theirs. Imports everything but `sources`.
"""
