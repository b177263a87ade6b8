"""Interfaces and link-local addresses by name: those of this network namespace, and no others."""

from __future__ import annotations

from probes.kernel import procfs
from probes.toolkit.readers import name_or_number
from probes.toolkit.tick_cache import once


def interface_in(ifindex: int, netns: int) -> str:
    """The name that an interface has now: only of this network namespace.

    "if7 (netns 4026532218)" of another one, "if7 (netns ?)" where nobody knows which (0), and
    "if7" where it is gone.
    """
    if netns and netns == once(_own):
        return name_or_number(ifindex)
    return f"if{ifindex} (netns {netns or '?'})"


def scoped(address: str, ifindex: int, netns: int) -> str:
    """A link-local address with its link: "fe80::1%eth0"; "fe80::1%?" where that is not known."""
    return f"{address}%{interface_in(ifindex, netns) if ifindex else '?'}"


def scoped_here(address: str, ifindex: int) -> str:
    """The same of a socket of this network namespace; any other address as it is."""
    return scoped(address, ifindex, once(_own)) if of_link(address) else address


def of_link(address: str) -> bool:
    """Whether an address means something on one link only: fe80::/10, ff01::/16 and ff02::/16."""
    begin = address[:4]
    return begin[:3] in ("fe8", "fe9", "fea", "feb") or begin in ("ff01", "ff02")


def _own() -> int:
    try:
        return procfs.netns()
    except OSError:  # no /proc
        return 0
