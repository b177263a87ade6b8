"""What the tracepoint has, as counters are held against it: never less than it had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from probes.analysis.drop_stages import function_of
from probes.hooks.drops.counters import ALL, Freed
from probes.model import Flat

Place = tuple[int, str, str, int | None]
"""Network namespace, reason, place in the code, destination port."""


def _counted(place: Place) -> bool:
    """Whether a counter that is shown has such packets, beside others."""
    _, reason, location, _ = place
    function = function_of(location)
    some = (counter for counter in ALL.values() if counter.freed is Freed.SOME)
    return any(counter.told_by(reason, function) for counter in some)


class Seen:
    """Packets by place, with those of rows that the map has thrown out since they were read.

    Those are among the others. Without them here, counters would show them once more.
    """

    def __init__(self) -> None:
        self._known: Mapping[Flat, tuple[Place, int]] = {}
        self._gone: Counter[Place] = Counter()

    def of(self, rows: Mapping[Flat, tuple[Place, int]]) -> Counter[Place]:
        """rows: of the map, by key, each with its place and packets."""
        for key, (place, packets) in self._known.items():
            now = rows.get(key)
            if (now is None or now[1] < packets) and _counted(place):
                self._gone[place] += packets
        self._known = rows
        seen = Counter(self._gone)
        for place, packets in rows.values():
            seen[place] += packets
        return seen

    def forget(self, netns: int) -> None:
        """A namespace has gone, and what its counters had is settled."""
        for place in [place for place in self._gone if place[0] == netns]:
            del self._gone[place]
