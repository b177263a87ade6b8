"""The interfaces that packets were dropped at: by name, as long as it is still the same device."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from probes.kernel.netlink import route
from probes.model import Opening
from probes.toolkit.links import interface_in
from probes.units import DASH


class Devices:
    """What devices of this network namespace are called, one after the other under a number.

    device: tells one from the next, 0: not known. Of those that have gone nobody knows the name.
    """

    def __init__(self, opening: Opening, own: int) -> None:
        self._own = own
        self._changes = route.Changes()
        opening.stack.callback(self._changes.close)
        self._known: dict[int, set[int]] = defaultdict(set)
        self._gone: set[tuple[int, int]] = set()

    def look(self, found: Iterable[tuple[int, int]]) -> None:
        """found: number and device of all that something was dropped at. The one that is new now is
        what has the number, whatever went before."""
        for ifindex in self._changes.gone():
            self._gone |= {(ifindex, device) for device in self._known[ifindex]}
        for ifindex, device in found:
            self._known[ifindex].add(device)

    def name(self, ifindex: int, device: int, netns: int) -> str:
        if not ifindex:
            return DASH
        if netns == self._own and (ifindex, device) in self._gone:
            return f"if{ifindex}"
        return interface_in(ifindex, netns, self._own)
