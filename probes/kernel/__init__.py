"""Interfaces of the kernel, one file each (bpf(2), BTF, procfs, tracefs, netlink).

Knows no hook. Imports `errors`, `units`, `drop_rule`, `point`, and nothing else of ours.
"""
