"""Packets that the tracepoint has seen, for comparison with counters: never fewer than it saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from probes.analysis.drop_stages import function_of
from probes.hooks.drops.counters import ALL, Freeing
from probes.model import Flat

Place = tuple[int, str, str, int | None]
"""Network namespace, reason, place in the code, destination port."""


def _counted(place: Place) -> bool:
    """Return whether a counter that is shown includes such packets."""
    _, reason, location, _ = place
    function = function_of(location)
    some = (counter for counter in ALL.values() if counter.freed is Freeing.SOME)
    return any(counter.told_by(reason, function) for counter in some)


class SeenDrops:
    """Packets by place, including those of rows that the map evicted since the last reading.

    Evicted packets are in the row of others. Without them here, counters would show them again.
    """

    def __init__(self) -> None:
        self._known: Mapping[Flat, tuple[Place, int]] = {}
        self._gone: Counter[Place] = Counter()

    def of(self, rows: Mapping[Flat, tuple[Place, int]]) -> Counter[Place]:
        """Return packets by place, from the map's rows by key: each its place and packets."""
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
        """Forget a namespace that is gone, once its counters are settled."""
        for place in [place for place in self._gone if place[0] == netns]:
            del self._gone[place]
