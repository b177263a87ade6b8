"""Owners: containers, pods, units, users and network namespaces by the names people know.

One file per runtime, each from its own state files and the kernel's paths; no daemon is asked.
"""
