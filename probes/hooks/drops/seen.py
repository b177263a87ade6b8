"""Packets that the tracepoint has seen, for comparison with counters: never fewer than it saw."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from probes.analysis.drop_stages import function_of
from probes.arrays import np
from probes.columns.cells import NumberCells
from probes.columns.groups import EqualRows, grouped, words_of
from probes.columns.row_table import RowTable
from probes.hooks.drops.counters import ALL, Counter, Freeing
from probes.model import Flat

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_GONE = 1024
"""Places of evicted rows that are told apart by port."""
Place = tuple[int, str, str, int | None]
"""Network namespace, reason, place in the code, destination port."""


@lru_cache(4096)
def counted(reason: str, function: str) -> bool:
    """Return whether a counter that is shown includes such packets."""
    some = (counter for counter in ALL.values() if counter.freed is Freeing.SOME)
    return any(counter.told_by(reason, function) for counter in some)


class SeenByPlace:
    """Packets by place, as far as a counter includes them."""

    def __init__(self, seen: Mapping[Place, int]) -> None:
        self._seen = [
            (netns, reason, function, port or 0, packets)
            for (netns, reason, location, port), packets in seen.items()
            if counted(reason, function := function_of(location))
        ]

    def ports(self, netns: int, counter: Counter) -> Tally[int]:
        """Return what a counter of a namespace includes, by port (0: none)."""
        ports: Tally[int] = Tally()
        for of, reason, function, port, packets in self._seen:
            if of == netns and counter.told_by(reason, function):
                ports[port] += packets
        return ports


class SeenEntries(NamedTuple):
    """Many entries of which counters include the packets.

    keys: an entry's own numbers, the same in each reading. kinds: reasons and places in the code,
    kind: which of them an entry has.
    """

    keys: Sequence[NDArray[Any]]
    netns: NDArray[Any]
    kinds: Sequence[tuple[str, str]]
    kind: NDArray[Any]
    port: NDArray[Any]
    packets: NDArray[Any]

    def merged(self) -> SeenEntries:
        """Return them without any that has the numbers of another."""
        groups = (
            grouped(words_of(*self.keys)) if len(self.port) else EqualRows(self.port, self.port)
        )
        at = groups.first
        keys = [numbers[at] for numbers in self.keys]
        sums = groups.sums(self.packets)
        return SeenEntries(keys, self.netns[at], self.kinds, self.kind[at], self.port[at], sums)

    def rows(self) -> dict[Flat, tuple[Place, int]]:
        """Return them row by row."""
        places = zip(
            self.netns.tolist(),
            [self.kinds[kind] for kind in self.kind.tolist()],
            self.port.tolist(),
            strict=True,
        )
        found = [(netns, *kind, port or None) for netns, kind, port in places]
        keys = zip(*[numbers.tolist() for numbers in self.keys], strict=True)
        return dict(zip(keys, zip(found, self.packets.tolist(), strict=True), strict=True))


class SeenInColumns(SeenByPlace):
    """The same of many entries. gone: those that are in none of them."""

    def __init__(self, entries: SeenEntries, gone: Mapping[Place, int]) -> None:
        super().__init__(gone)
        self._entries = entries
        self._functions = [(reason, function_of(place)) for reason, place in entries.kinds]

    def ports(self, netns: int, counter: Counter) -> Tally[int]:
        ports = super().ports(netns, counter)
        told = np.array([counter.told_by(*one) for one in self._functions], bool)
        if told.any():
            here = told[self._entries.kind] & (self._entries.netns == netns)
            found = self._entries.port[here]
            if len(found):
                groups = grouped(words_of(found))
                sums = groups.sums(self._entries.packets[here]).tolist()
                ports.update(dict(zip(found[groups.first].tolist(), sums, strict=True)))
        return ports


class SeenDrops:
    """Packets by place, including those of rows that the map evicted since the last reading.

    Evicted packets are in the row of others. Without them here, counters would show them again.
    """

    def __init__(self) -> None:
        self._known: Mapping[Flat, tuple[Place, int]] = {}
        self._many: SeenEntries | None = None
        self._table: RowTable | None = None
        self._gone: Tally[Place] = Tally()

    def of(self, rows: Mapping[Flat, tuple[Place, int]]) -> SeenByPlace:
        """Return packets by place, from the map's rows by key: each its place and packets."""
        known = self._known if self._many is None else self._many.rows()
        for key, (place, packets) in known.items():
            now = rows.get(key)
            if now is None or now[1] < packets:
                self._add(place, packets)
        self._known, self._many, self._table = rows, None, None
        seen = Tally(self._gone)
        for place, packets in rows.values():
            seen[place] += packets
        return SeenByPlace(seen)

    def of_many(self, entries: SeenEntries) -> SeenByPlace:
        """Return the same of many entries."""
        entries = entries.merged()
        keys = [NumberCells(numbers) for numbers in entries.keys]
        table = RowTable(keys, tuple(range(len(keys))))
        if self._many is None or self._table is None:
            self.of(entries.rows())
        else:
            self._follow(self._many, self._table, entries, table)
        self._known, self._many, self._table = {}, entries, table
        return SeenInColumns(entries, self._gone)

    def _follow(
        self, before: SeenEntries, was: RowTable, entries: SeenEntries, now: RowTable
    ) -> None:
        """Take over what has gone since."""
        if not len(before.port):
            return
        at = was.places_in(now) if len(entries.port) else np.full(len(before.port), -1)
        gone = at < 0
        gone[~gone] = entries.packets[at[~gone]] < before.packets[~gone]
        for n in np.flatnonzero(gone).tolist():
            kind, port = before.kinds[before.kind[n]], int(before.port[n])
            self._add((int(before.netns[n]), *kind, port or None), int(before.packets[n]))

    def _add(self, place: Place, packets: int) -> None:
        if counted(place[1], function_of(place[2])):
            if place not in self._gone and len(self._gone) >= MAX_GONE:
                place = (*place[:3], None)
            self._gone[place] += packets

    def forget(self, netns: int) -> None:
        """Forget a namespace that is gone, once its counters are settled."""
        for place in [place for place in self._gone if place[0] == netns]:
            del self._gone[place]
