"""Hits of log2 histograms in each few seconds: heat over time, for every row, in little memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from operator import sub
from typing import NamedTuple

from probes.analysis.snapshot import Snapshot
from probes.columns.cells import differ
from probes.columns.row_table import RowTable
from probes.model import HookId, Key, Row, Sample, same_totals

SLOT_SECONDS, SLOTS = 5, 180
"""Seconds of a slot; slots kept: 15 minutes."""
MAX_GONE = 4000
"""Rows of a hook that are kept after they have gone, at most."""
_TIDY = 36
"""Slots after which those that are too old are forgotten."""
_SPARE = 64  # cells that may be too old before they are taken away


class HeatSlot(NamedTuple):
    """A histogram's hits in a slot.

    wall: its beginning in Unix seconds, by the clock as it is now. hits: by bucket.
    """

    wall: float
    hits: Mapping[int, int]


class _Row:
    """A histogram's last buckets, and what each slot added: slot, bucket, hits, and so on."""

    __slots__ = ("before", "cells")

    def __init__(self, before: tuple[int, ...]) -> None:
        self.before = before
        self.cells = array("I")

    def add(self, slot: int, now: tuple[int, ...]) -> None:
        if now == self.before:
            return
        added = now
        if sum(now) >= sum(self.before):  # else it was reset
            added = tuple(map(sub, now, self.before))
        self.before = now
        for bucket, hits in enumerate(added):
            if hits > 0:
                self.cells.extend((slot, bucket, min(hits, 0xFFFFFFFF)))

    def forget(self, before: int) -> None:
        """Forget slots that are too old, once there are several."""
        cells, old = self.cells, 0
        while old < len(cells) and cells[old] < before:
            old += 3
        if old >= 3 * _SPARE or old == len(cells):
            del cells[:old]

    @property
    def last(self) -> int:
        return self.cells[-3] if self.cells else 0


class _Counted:
    """One hook and target: its epoch, and its rows by column."""

    def __init__(self, epoch: int, slot: int) -> None:
        self.epoch, self.slot = epoch, slot
        self.latest: Mapping[Key, Row] = {}
        self.rows: dict[tuple[str, Key], _Row] = {}


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
        slot = self._slot(sample.time)
        known = self._hooks.get(id)
        if known is None or not same_totals(known.epoch, sample.epoch):
            known = self._hooks[id] = _Counted(sample.epoch, slot)
            for place, name in places:
                for key, buckets in _histograms(sample.rows, place, {}):
                    known.rows[name, key] = _Row(buckets)
            known.latest = sample.rows if isinstance(sample.rows, RowTable) else {}
        known.epoch = sample.epoch
        if slot == known.slot:
            return
        for place, name in places:
            for key, buckets in _histograms(sample.rows, place, known.latest):
                found = known.rows.get((name, key))
                if found is None:
                    base = (0,) * len(buckets) if sample.from_zero else buckets
                    found = known.rows[name, key] = _Row(base)
                found.add(known.slot, buckets)
                found.forget(slot - SLOTS)
        known.latest = sample.rows if isinstance(sample.rows, RowTable) else {}
        if slot // _TIDY != known.slot // _TIDY:
            for row in known.rows.values():
                row.forget(slot - SLOTS)
        known.slot = slot
        _sweep(known.rows, sample, slot)

    def of(self, id: HookId, column: str, key: Key, until: float) -> list[HeatSlot]:
        """Return the slots that had ended by a moment (monotonic seconds), oldest first.

        Slots without hits are included.
        """
        known = self._hooks.get(id)
        row = known.rows.get((column, key)) if known is not None else None
        end = min(self._slot(until), known.slot) if known is not None else 0
        if row is None or not row.cells:
            return []
        hits: dict[int, dict[int, int]] = {}
        for slot, bucket, count in _triples(row.cells):
            if end - SLOTS <= slot < end:
                hits.setdefault(slot, {})[bucket] = count
        if not hits:
            return []
        return [
            HeatSlot(s * SLOT_SECONDS + self._set, hits.get(s, {})) for s in range(min(hits), end)
        ]


def _histograms(
    rows: Mapping[Key, Row], place: int, before: Mapping[Key, Row]
) -> Iterator[tuple[Key, tuple[int, ...]]]:
    """Return the histograms that differ from those before, as far as that is known."""
    if isinstance(rows, RowTable) and isinstance(before, RowTable):
        at = rows.places_in(before)
        kept = at >= 0
        changed = ~kept
        now, was = rows.cells[place].at(kept), before.cells[place].at(at[kept])
        changed[kept] = differ(now, was)
        rows = rows.at(changed)
    if isinstance(rows, RowTable):
        values = zip(rows, rows.cells[place].values(), strict=True)
    else:
        values = zip(rows, [row[place] for row in rows.values()], strict=True)
    return ((key, value) for key, value in values if isinstance(value, tuple))


def _triples(cells: array[int]) -> Iterator[tuple[int, int, int]]:
    return zip(cells[::3], cells[1::3], cells[2::3], strict=True)


def _sweep(rows: dict[tuple[str, Key], _Row], sample: Sample, slot: int) -> None:
    """Forget rows that went long ago, and all but the latest `MAX_GONE` of the others that went."""
    if len(rows) == len(sample.rows):
        return  # no row has two histograms here: none went
    gone = sorted((k for k in rows if k[1] not in sample.rows), key=lambda k: rows[k].last)
    for place, key in enumerate(gone, 1):
        if rows[key].last < slot - SLOTS or place <= len(gone) - MAX_GONE:
            del rows[key]
