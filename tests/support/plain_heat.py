"""Heat row by row, as plainly as can be: what `Heat` is held to."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from operator import sub

from probes.analysis.heat import SLOT_SECONDS, SLOTS, HeatSlot
from probes.analysis.snapshot import Snapshot
from probes.model import HookId, Key, Row, Sample, same_totals

MAX_GONE = 4000
_TIDY, _SPARE = 36, 64


class _Row:
    """A histogram's last buckets, and what each slot added: slot, bucket, hits, and so on."""

    __slots__ = ("before", "cells", "seen")

    def __init__(self, before: tuple[int, ...]) -> None:
        self.before, self.seen = before, 0
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


class _Counted:
    """One hook and target: its epoch, and its rows by column."""

    def __init__(self, epoch: int, slot: int) -> None:
        self.epoch, self.slot = epoch, slot
        self.rows: dict[tuple[str, Key], _Row] = {}


class PlainHeat:
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
                for key, buckets in _histograms(sample.rows, place):
                    known.rows[name, key] = _Row(buckets)
                    known.rows[name, key].seen = slot - 1
        known.epoch = sample.epoch
        if slot == known.slot:
            return
        for place, name in places:
            for key, buckets in _histograms(sample.rows, place):
                found = known.rows.get((name, key))
                if found is None:
                    base = (0,) * len(buckets) if sample.from_zero else buckets
                    found = known.rows[name, key] = _Row(base)
                found.add(known.slot, buckets)
                found.seen = known.slot
                found.forget(slot - SLOTS)
        if slot // _TIDY != known.slot // _TIDY:
            for row in known.rows.values():
                row.forget(slot - SLOTS)
        _sweep(known.rows, sample, known.slot)
        known.slot = slot

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


def _histograms(rows: Mapping[Key, Row], place: int) -> Iterator[tuple[Key, tuple[int, ...]]]:
    return ((k, value) for k, row in rows.items() if isinstance(value := row[place], tuple))


def _triples(cells: array[int]) -> Iterator[tuple[int, int, int]]:
    return zip(cells[::3], cells[1::3], cells[2::3], strict=True)


def _sweep(rows: dict[tuple[str, Key], _Row], sample: Sample, slot: int) -> None:
    """Forget rows that went long ago, and all but the latest `MAX_GONE` of the others that went."""
    gone = sorted((k for k in rows if k[1] not in sample.rows), key=lambda k: rows[k].seen)
    for place, key in enumerate(gone, 1):
        if rows[key].seen < slot - SLOTS or place <= len(gone) - MAX_GONE:
            del rows[key]
