"""Heat over time: hits of log2 histograms every few seconds, for every row, in little memory."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import sub
from typing import TYPE_CHECKING, Any, NamedTuple

from probes.analysis.known_rows import KnownRows, ints
from probes.analysis.snapshot import Snapshot
from probes.arrays import FEW, np
from probes.columns.cells import TupleCells
from probes.columns.row_table import RowTable
from probes.model import HookId, Key, Row, Sample, same_totals

if TYPE_CHECKING:
    from numpy.typing import NDArray

SLOT_SECONDS, SLOTS = 5, 180
"""Seconds of a slot; slots kept: 15 minutes."""
_MOST_HITS = 0xFFFFFFFF
_EXACT = 1 << 56
"""Hits in a bucket from which 64 bits may not hold the sum of all buckets."""
_AT_ONCE = 4096
"""Rows that are compared together, so that what it takes for a moment is little."""
_Buckets = tuple[int, ...]


class HeatSlot(NamedTuple):
    """A histogram's hits in a slot.

    wall: its beginning in Unix seconds, by the clock as it is now. hits: by bucket.
    """

    wall: float
    hits: Mapping[int, int]


class _Histograms:
    """A column's histograms: the last buckets of each row, and what each slot added to them.

    A row's number is its slot in `KnownRows`, whose ticks are turns here.
    """

    def __init__(self, place: int) -> None:
        self._place, self._turn = place, 0
        self.rows = KnownRows(SLOTS)
        self._before: list[_Buckets] | NDArray[Any] = []  # by number: of few rows, of many
        # Slot, turn, and what was added: number, bucket, hits, and so on.
        self._added: deque[tuple[int, int, array[int]]] = deque()

    def take(self, slot: int, sample: Sample, *, from_zero: bool) -> None:
        """Add what a slot has had. from_zero: rows that came begin with nothing."""
        self._turn += 1
        rows, cells = sample.rows, None
        if isinstance(rows, RowTable) and (len(rows) > FEW or self._had_many):
            cells = rows.cells[self._place]
        if isinstance(rows, RowTable) and isinstance(cells, TupleCells) and self._fits(cells.raw):
            added = self._take_many(rows, cells, from_zero=from_zero)
        elif cells is not None and not cells.flags().any():
            self.rows.take(self._turn, [])
            added = array("I")
        else:
            added = self._take_few(sample.rows, from_zero=from_zero)
        if added:
            self._added.append((slot, self._turn, added))
        self.rows.sweep()

    def forget(self, before: int) -> None:
        """Forget slots that are too old."""
        while self._added and self._added[0][0] < before:
            self._added.popleft()

    def _take_few(self, rows: Mapping[Key, Row], *, from_zero: bool) -> array[int]:
        place, before, turn = self._place, self._listed(), self._turn
        buckets = {k: now for k, row in rows.items() if isinstance(now := row[place], tuple)}
        self.rows.take(turn, list(buckets))
        before.extend([()] * (self.rows.number - len(before)))
        first, added = self.rows.first, array("I")
        for number, now in zip(self.rows.slots, buckets.values(), strict=True):
            was = before[number]
            if first[number] == turn:
                was = (0,) * len(now) if from_zero else now
            if now != was:
                for bucket, hits in _hits(now, was):
                    added.extend((number, bucket, hits))
            before[number] = now
        return added

    @property
    def _had_many(self) -> bool:
        """Whether there are many slots: as tuples they would take four times as much."""
        return not isinstance(self._before, list) and len(self._before) > FEW

    def _listed(self) -> list[_Buckets]:
        if not isinstance(self._before, list):
            self._before = list(map(tuple, self._before.tolist()))
        return self._before

    def _fits(self, raw: NDArray[Any]) -> bool:
        """Return whether 64 bits hold what arrays calculate, and the number of buckets is known."""
        before = self._before
        if isinstance(before, list):
            return _holds(raw) and all(len(b) == raw.shape[1] for b in before if b)
        return _holds(raw) and before.shape[1] == raw.shape[1]

    def _take_many(self, rows: RowTable, cells: TupleCells, *, from_zero: bool) -> array[int]:
        if cells.known is not None:
            known = cells.known
            rows, cells = rows.at(known), TupleCells(cells.raw[known])
        self.rows.take(self._turn, rows.only_keys())
        numbers, raw = ints(self.rows.slots), cells.raw
        before = self._in_array(raw)
        fresh = ints(self.rows.first)[numbers] == self._turn
        before[numbers[fresh]] = 0 if from_zero else raw[fresh]
        added = array("I")
        for begin in range(0, len(raw), _AT_ONCE):
            some, now = numbers[begin : begin + _AT_ONCE], raw[begin : begin + _AT_ONCE]
            added.frombytes(_hits_of_many(some, now, before[some]).tobytes())
            before[some] = now
        return added

    def _in_array(self, like: NDArray[Any]) -> NDArray[Any]:
        """Return the last buckets as an array with a place for each number."""
        before, number, width = self._before, self.rows.number, like.shape[1]
        if isinstance(before, list):
            rows = [buckets or (0,) * width for buckets in before]
            before = TupleCells.narrow(np.array(rows, "u8").reshape(-1, width)).raw
        kind = np.promote_types(before.dtype, like.dtype)
        if number > len(before) or kind != before.dtype:
            made = np.zeros((number + number // 16, width), kind)
            made[: len(before)] = before
            before = made
        self._before = before
        return before

    def of(self, key: Key, begin: int, end: int) -> dict[int, dict[int, int]]:
        """Return a row's hits by slot and bucket, in the slots from `begin` to before `end`."""
        number, found = self.rows.find(key), dict[int, dict[int, int]]()
        if number < 0:
            return found
        first = self.rows.first[number]
        for slot, turn, added in self._added:
            if begin <= slot < end and turn >= first:
                for place in _places(added, number):
                    found.setdefault(slot, {})[added[place + 1]] = added[place + 2]
        return found


def _hits(now: _Buckets, was: _Buckets) -> Iterator[tuple[int, int]]:
    """Return what was added, by bucket; all of it if it was reset."""
    added = now if sum(now) < sum(was) else tuple(map(sub, now, was))
    return ((bucket, min(n, _MOST_HITS)) for bucket, n in enumerate(added) if n > 0)


def _hits_of_many(
    numbers: NDArray[np.int32], now: NDArray[Any], was: NDArray[Any]
) -> NDArray[np.uint32]:
    """Return the same of many rows: number, bucket and hits of each."""
    changed = np.flatnonzero((now != was).any(axis=1))
    now, was = now[changed].astype("i8"), was[changed].astype("i8")
    reset = now.sum(axis=1) < was.sum(axis=1)
    added = np.where(reset[:, None], now, now - was)
    at, bucket = np.nonzero(added > 0)
    hits = np.minimum(added[at, bucket], _MOST_HITS)
    return np.column_stack((numbers[changed][at], bucket, hits)).astype("u4")


def _holds(raw: NDArray[Any]) -> bool:
    return raw.dtype.kind in "iu" and not (raw.size and int(raw.max()) >= _EXACT)


def _places(added: array[int], number: int) -> Sequence[int]:
    """Return where a row's hits are."""
    if len(added) <= 3 * FEW:
        return [place for place in range(0, len(added), 3) if added[place] == number]
    found = np.flatnonzero(np.frombuffer(added, "u4")[::3] == number) * 3
    places: list[int] = found.tolist()
    return places


class _Counted:
    """One hook and target: its epoch, and its histograms by column."""

    def __init__(self, epoch: int, slot: int, places: Iterable[tuple[int, str]]) -> None:
        self.epoch, self.slot = epoch, slot
        self.histograms = {name: _Histograms(place) for place, name in places}


class Heat:
    """Takes every sample; looks into one only when a slot has ended."""

    def __init__(self) -> None:
        self._hooks: dict[HookId, _Counted] = {}
        self._base: float | None = None
        self._set = 0.0

    def _slot(self, time: float) -> int:
        """Return the slot's number by the monotonic clock, offset by the initial wall clock."""
        return int((time + (self._base or 0.0)) // SLOT_SECONDS)

    def add(self, snapshots: Sequence[Snapshot]) -> None:
        for snapshot in snapshots:
            places = [(i, name) for i, name, histogram in snapshot.hook.places.sums if histogram]
            if places:
                self._take(snapshot.id, snapshot.sample, places)

    def _take(self, id: HookId, sample: Sample, places: Sequence[tuple[int, str]]) -> None:
        ahead = sample.wall - sample.time
        if self._base is None:
            self._base = ahead
        self._set = ahead - self._base if abs(ahead - self._base) > 1 else 0.0
        slot, from_zero = self._slot(sample.time), sample.from_zero
        known = self._hooks.get(id)
        if known is None or not same_totals(known.epoch, sample.epoch):
            known = self._hooks[id] = _Counted(sample.epoch, slot, places)
            for histograms in known.histograms.values():
                histograms.take(slot, sample, from_zero=False)
        known.epoch = sample.epoch
        if slot != known.slot:
            for histograms in known.histograms.values():
                histograms.take(known.slot, sample, from_zero=from_zero)
                histograms.forget(slot - SLOTS)
            known.slot = slot

    def keep_gone(self, most: int) -> None:
        """Keep so many rows of each histogram after they have gone, at most."""
        for known in self._hooks.values():
            for histograms in known.histograms.values():
                histograms.rows.most_gone = most

    def of(self, id: HookId, column: str, key: Key, until: float) -> list[HeatSlot]:
        """Return the slots that had ended by a moment (monotonic seconds), oldest first.

        Slots without hits are included.
        """
        known = self._hooks.get(id)
        histograms = known.histograms.get(column) if known is not None else None
        if known is None or histograms is None:
            return []
        end = min(self._slot(until), known.slot)
        hits = histograms.of(key, end - SLOTS, end)
        if not hits:
            return []
        return [
            HeatSlot(s * SLOT_SECONDS + self._set, hits.get(s, {})) for s in range(min(hits), end)
        ]
