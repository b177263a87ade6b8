"""The limit on rows of all hooks: memory is bounded, the activity of a host is not."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from probes.arrays import np
from probes.columns.cells import NumberCells
from probes.columns.row_table import RowTable
from probes.model import Hook, HookId, Key, Row

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_ROWS = 20
"""Rows that any hook keeps of each target, however little memory there is."""


class RowLimit:
    """`total` rows of all hooks and targets together, shared out so that the long lists are cut.

    Beyond it the least active rows of a reading are left out, and their number is in the sample.
    total: may be set while it runs. Used from several threads.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._counts: dict[HookId, int] = {}
        self._sum, self._lock = 0, threading.Lock()
        self._before: dict[HookId, Mapping[Key, int] | _TableSums] = {}

    def fit(self, id: HookId, hook: Hook, rows: Mapping[Key, Row]) -> Mapping[Key, Row]:
        """Return the rows that are kept, in their order."""
        if not rows:  # nor is there an entry for each target that ever was
            self.forget(id)
            return rows
        self._count(id, len(rows))
        most = self._share()
        if len(rows) <= most:
            self._before.pop(id, None)
            return rows
        before = self._before.get(id, {})
        if isinstance(rows, RowTable) and (sums := _sums(hook, rows)) is not None:
            self._before[id] = made = _TableSums(rows.only_keys(), sums)
            return rows.at(made.most_active(before, most))
        if isinstance(before, _TableSums):
            before = before.by_key()
        self._before[id], kept = _fitted(hook, rows, before, most)
        return kept

    def forget(self, id: HookId) -> None:
        """Forget a target on which nothing is attached any more."""
        self._count(id, 0)
        self._before.pop(id, None)

    def _count(self, id: HookId, rows: int) -> None:
        with self._lock:
            self._sum += rows - self._counts.pop(id, 0)
            if rows:
                self._counts[id] = rows

    def _share(self) -> int:
        """Return the rows for one target: all of them, while there is enough for everyone."""
        left = self.total
        if self._sum <= left:
            return left
        with self._lock:
            counts = sorted(self._counts.values())
        for place, count in enumerate(counts):
            share = left // (len(counts) - place)
            if count > share:
                return max(share, MIN_ROWS)
            left -= count
        return max(left, MIN_ROWS)


def _fitted(
    hook: Hook, rows: Mapping[Key, Row], before: Mapping[Key, int], most: int
) -> tuple[Mapping[Key, int], Mapping[Key, Row]]:
    """Return what each row has counted, and the most active rows."""
    counters = [i for i, _ in hook.places.counters]
    sums: dict[Key, int] = {}
    active: list[tuple[int, int, int]] = []
    for place, (key, row) in enumerate(rows.items()):
        now = sums[key] = sum([v for i in counters if isinstance(v := row[i], int)])
        active.append((now - before.get(key, 0), now, place))
    kept = {place for _, _, place in heapq.nlargest(most, active)}
    return sums, {key: row for n, (key, row) in enumerate(rows.items()) if n in kept}


class _TableSums(NamedTuple):
    """Counts of each row of a table. table: of its keys."""

    table: RowTable
    sums: NDArray[np.int64]

    def by_key(self) -> Mapping[Key, int]:
        return dict(zip(self.table, self.sums.tolist(), strict=True))

    def most_active(self, before: Mapping[Key, int] | _TableSums, most: int) -> NDArray[np.intp]:
        """Return the places of the rows that grew most, of those the greatest, then the last."""
        if isinstance(before, _TableSums):
            at = self.table.places_in(before.table)
            then = np.where(at >= 0, before.sums[at], 0)
        elif before:
            then = np.fromiter((before.get(key, 0) for key in self.table), "i8", len(self.sums))
        else:
            then = np.zeros(len(self.sums), "i8")
        order = np.lexsort((self.sums, self.sums - then))  # of equal ones the later is the last
        return np.sort(order[-most:])


def _sums(hook: Hook, table: RowTable) -> NDArray[np.int64] | None:
    """Return the sum of each row's integer counters; None where 63 bits may not hold it."""
    total, most = np.zeros(len(table), "i8"), 0
    for place, _ in hook.places.counters:
        cells = table.cells[place]
        if not isinstance(cells, NumberCells):
            return None
        if cells.raw.dtype.kind not in "iu":
            continue
        most += max(int(cells.raw.max()), -int(cells.raw.min()))
        if most >> 62:
            return None
        raw = cells.raw.astype("i8")
        total += raw if cells.known is None else np.where(cells.known, raw, 0)
    return total
