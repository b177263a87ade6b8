"""Interfaces and link-local addresses by name: those of this network namespace, and no others."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from probes.kernel import procfs
from probes.kernel.netlink import route
from probes.kernel.tick_cache import cached
from probes.model import Opening
from probes.toolkit.bounded import Bounded
from probes.toolkit.interface_names import name_or_number

T = TypeVar("T")


def interface_in(ifindex: int, netns: int, own: int | None = None) -> str:
    """Return the name that an interface has now, if it is of this network namespace.

    "if7 (netns 4026532218)" for another one, "if7 (netns ?)" where that is not known (0), and "if7"
    where the interface is gone. own: this thread's namespace, where that is known.
    """
    if netns and netns == (cached(_own) if own is None else own):
        return name_or_number(ifindex)
    return f"if{ifindex} (netns {netns or '?'})"


def scoped(address: str, ifindex: int, netns: int) -> str:
    """Return a link-local address with its link: "fe80::1%eth0".

    "fe80::1%?" if that is not known.
    """
    return f"{address}%{interface_in(ifindex, netns) if ifindex else '?'}"


def scoped_here(address: str, ifindex: int) -> str:
    """Return the same for a socket of this network namespace; any other address as it is."""
    return scoped(address, ifindex, cached(_own)) if of_link(address) else address


def of_link(address: str) -> bool:
    """Return whether an address is valid on one link only: fe80::/10, ff01::/16 and ff02::/16."""
    begin = address[:4]
    unicast = begin[:3] in ("fe8", "fe9", "fea", "feb") and begin[3:] != ":"  # "fe8:" is 0fe8
    return unicast or begin in ("ff01", "ff02")


class Made:
    """The ordinal of the interface that now has a number, among all that had it: `columns.MADE`.

    anew: the numbers of those that went since the previous reading.
    """

    def __init__(self, opening: Opening) -> None:
        self._changes = route.Changes()
        opening.stack.callback(self._changes.close)
        self._gone: dict[int, int] = Bounded(1 << 16)
        self.anew: set[int] = set()

    def of(self, ifindex: int) -> int:
        return self._gone.get(ifindex, 0)

    def asked(self, ask: Callable[[], T]) -> T:
        """Return the result of `ask` (`cached`).

        `of` and `anew` then describe the same interfaces.
        """
        found, self.anew = cached(ask), set()
        while gone := self._changes.gone():  # meanwhile or before: nobody knows
            self.anew |= gone
            for ifindex in gone:
                self._gone[ifindex] = self.of(ifindex) + 1
            found = ask()
        return found


def _own() -> int:
    try:
        return procfs.netns()
    except OSError:  # no /proc
        return 0
