"""C in, instructions and maps out: bcc in a child process, headers made of BTF, caches.

Imports `kernel`, `model` and the packages before them. `bcc_worker` alone imports bcc; it is run by
its path, never imported, and imports nothing of ours.
"""
