"""What is remembered of many rows from one reading for export to the next, as columns.

Only rows that have a place of their own, and that may get one, have labels as text here. Two names
that look alike once they are printable are one from when both have a place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from probes.arrays import np
from probes.columns.cells import Cells, NumberCells
from probes.columns.row_table import RowTable
from tui.prometheus.groups import LabelGroups, NoLabels, Sums, activity, are_summed
from tui.prometheus.increments import Grown, Increments

if TYPE_CHECKING:
    from numpy.typing import NDArray

Labels = tuple[str, ...]
Busy = tuple[float, float]


class RowLabels(Protocol):
    """The labels of a hook's rows; a `totals.Shape` is one."""

    def labels_of(self, target: str | None, reading: Increments, row: int) -> Labels: ...

    def told_of(self, reading: Increments, row: int) -> Labels:
        """Return the labels that follow from the others."""
        ...


class GroupedReading:
    """A reading of many rows: its groups, and what was added, by column."""

    def __init__(
        self, groups: LabelGroups, added: Sequence[Cells], levels: Sequence[tuple[Cells, bool]]
    ) -> None:
        """Take columns. levels: and whether the greatest is wanted, rather than the sum."""
        self.groups, self._added, self._levels = groups, added, levels
        self.did = activity([c for c in added if isinstance(c, NumberCells)], Sums(groups.of))

    @classmethod
    def of(
        cls,
        named: tuple[int, ...],
        reading: Increments,
        sums: Iterable[int],
        levels: Iterable[tuple[int, bool]],
    ) -> GroupedReading | None:
        """Return a reading's; None where rows are to be taken one by one."""
        table = reading.rows
        if not isinstance(table, RowTable) or not len(table):
            return None
        gauges = [(table.cells[place], greatest) for place, greatest in levels]
        added = [cells for place in sums if (cells := reading.cells_added(place)) is not None]
        if len(added) < len([*sums]) or not all(map(are_summed, [*added, *(c for c, _ in gauges)])):
            return None
        try:
            return cls(LabelGroups(table, named), added, gauges)
        except NoLabels:
            return None

    def by_slot(self, slots: NDArray[np.intp]) -> Iterator[tuple[int, list[Grown], list[Grown]]]:
        """Yield each slot, what was added in all its groups, and their levels. slots: by group."""
        summed = Sums(slots[self.groups.of])
        added = [summed.added(cells) for cells in self._added]
        levels = [
            summed.greatest(cells) if greatest else summed.added(cells)
            for cells, greatest in self._levels
        ]
        for place, slot in enumerate(summed.slots):
            yield slot, [column[place] for column in added], [column[place] for column in levels]


class Crowd:
    """The groups of one target's readings: how busy each is, its class, and which have a place."""

    def __init__(self, shape: RowLabels, target: str | None) -> None:
        self._shape, self._target = shape, target
        self._reading: Increments | None = None
        self._names: RowTable | None = None
        self._first = self._class = self._seats = np.zeros(0, np.intp)
        self._did = self._recent = np.zeros(0)
        self._waits = np.zeros(0, bool)
        self._seated: list[Labels] = []
        self._seated_names: RowTable | None = None
        self._fresh: list[tuple[int, Labels]] = []
        self.classes: list[Labels] = []
        "The labels that follow from the others; `slots` has their places here."

    # -- from one reading to the next ------------------------------------------------------------

    def read(
        self, reading: Increments, many: GroupedReading, fading: float, rows: Iterable[Labels]
    ) -> None:
        """Take the groups of a reading. rows: those that have a place, not all of them known here.

        fading: by how much earlier activity counts.
        """
        before, names = self._names, many.groups.names
        at = np.full(len(names), -1) if before is None else names.places_in(before)
        self._reading, self._names, self._first = reading, names, many.groups.first
        self._did = many.did
        self._recent = _at(self._recent, at, 0.0) * fading + many.did
        self._class = self._classes(_at(self._class, at, -1))
        self._seats = np.full(len(names), -1)
        if self._seated_names is not None:
            self._seats = names.places_in(self._seated_names).copy()
        self._find(set(rows) - set(self._seated), np.flatnonzero((at < 0) & (self._seats < 0)))
        self._waits = self._seats < 0

    def adopt(self, waiting: Mapping[Labels, Busy], fading: float) -> None:
        """Take over how busy rows were that were taken one by one; after the first `read`."""
        if any(recent for _, recent in waiting.values()):
            known = [waiting.get(self.labels(n), (0.0, 0.0))[1] for n in range(len(self._first))]
            self._recent = np.array(known) * fading + self._did

    def _find(self, nameless: set[Labels], groups: NDArray[np.intp]) -> None:
        """Look for rows that had a place before they were known here."""
        found = (
            [(n, own) for n in groups.tolist() if (own := self.labels(n)) in nameless]
            if (nameless)
            else []
        )
        self._fresh = found
        self._settle_all()

    def _classes(self, known: NDArray[np.intp]) -> NDArray[np.intp]:
        """Fill in the class of new groups."""
        assert self._reading is not None
        for group in np.flatnonzero(known < 0).tolist():
            told = self._shape.told_of(self._reading, int(self._first[group]))
            if told not in self.classes:
                self.classes.append(told)
            known[group] = self.classes.index(told)
        return known

    def labels(self, group: int) -> Labels:
        assert self._reading is not None
        return self._shape.labels_of(self._target, self._reading, int(self._first[group]))

    # -- who has a place -------------------------------------------------------------------------

    def present(self) -> Iterator[tuple[Labels, int, float]]:
        """Yield the groups that have a place: labels, their first row, and what they did."""
        for group in np.flatnonzero(self._seats >= 0).tolist():
            labels = self._seated[int(self._seats[group])]
            yield labels, int(self._first[group]), float(self._did[group])

    def candidates(self) -> Iterator[tuple[int, Labels, Busy]]:
        """Yield the groups without a place, the busiest first."""
        groups = np.flatnonzero(self._waits)
        order = np.lexsort((-self._recent[groups], -self._did[groups]))
        for group in map(int, groups[order]):
            yield group, self.labels(group), (float(self._did[group]), float(self._recent[group]))

    def seat(self, group: int, labels: Labels) -> None:
        """Give a group a place, from `settle` on."""
        self._fresh.append((group, labels))
        self._waits[group] = False

    def settle(self, rows: Mapping[Labels, object]) -> None:
        """Take note of who has a place now."""
        if self._fresh or any(labels not in rows for labels in self._seated):
            self._keep([n for n, labels in enumerate(self._seated) if labels in rows])
            self._settle_all()

    def _keep(self, kept: list[int]) -> None:
        places = np.full(len(self._seated) + 1, -1)
        places[kept] = np.arange(len(kept))
        self._seats = places[self._seats]
        self._seated = [self._seated[n] for n in kept]
        if self._seated_names is not None:
            left = np.array(kept, np.intp)
            self._seated_names = self._seated_names.at(left) if kept else None

    def _settle_all(self) -> None:
        if not self._fresh:
            return
        assert self._names is not None
        groups = np.array([group for group, _ in self._fresh], np.intp)
        self._seats[groups] = np.arange(len(groups)) + len(self._seated)
        self._seated += [labels for _, labels in self._fresh]
        fresh, known, self._fresh = self._names.at(groups), self._seated_names, []
        self._seated_names = fresh if known is None else known.joined_with(fresh)

    def slots(self, rows: Iterable[Labels]) -> tuple[NDArray[np.intp], list[int]]:
        """Return the slot of each group, and the classes of those without a place, as they come.

        A slot is the place among `rows`, or behind them that of the class.
        """
        number = {labels: n for n, labels in enumerate(rows)}
        places = np.array([number[labels] for labels in self._seated] or [0], np.intp)
        without = self._seats < 0
        slots = np.where(without, len(number) + self._class, places[self._seats])
        return slots, list(dict.fromkeys(self._class[without].tolist()))

    # -- who waits -------------------------------------------------------------------------------

    def end(self, *, first: bool) -> None:
        """Forget how busy those were that have, or had, a place. first: and all others."""
        if first:
            self._did = np.zeros(len(self._did))
        self._recent = np.where(self._waits & (not first), self._recent, 0.0)

    def waiting(self) -> dict[Labels, Busy]:
        """Return how busy each group without a place was."""
        groups = np.flatnonzero(self._waits).tolist()
        return {self.labels(n): (float(self._did[n]), float(self._recent[n])) for n in groups}


def _at(known: NDArray[Any], places: NDArray[np.intp], otherwise: float) -> NDArray[Any]:
    if not len(known):
        return np.full(len(places), otherwise, known.dtype)
    return np.where(places >= 0, known[places], known.dtype.type(otherwise))
