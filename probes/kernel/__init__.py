"""How the kernel is asked: one file per interface (bpf(2), BTF, procfs, tracefs, netlink).

Knows no hook. Imports `errors`, `units`, `drop_rule`, `point`, and nothing else of ours.
"""
