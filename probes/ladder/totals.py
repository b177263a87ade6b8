"""Totals of one hook on one target, as they go on from one rung to the next."""

from __future__ import annotations

import time
from contextlib import suppress
from itertools import count

from probes.ladder import carried
from probes.ladder.carried import CarriedTotals
from probes.ladder.standing import Standing
from probes.model import SERIES, Hook, Reading, Row
from probes.owners.owner_columns import log_with_owners

ANEW = "the kernel's own totals, without those before, since "
"""Prefix of the note that totals could not be carried over, and since when."""

_series = count(1)


class SeriesTotals:
    """Counts from before, and what is added to them. Used under the attachment's lock.

    unsaid: log entries found when totals were read, for the next sample.
    """

    def __init__(self, hook: Hook) -> None:
        self._hook = hook
        self._past: CarriedTotals | None = None
        self._epoch = 0
        self.unsaid: list[Row] = []

    def begin_at_zero(self) -> None:
        """Forget what was counted: a user who detaches and attaches wants that."""
        self._past = None

    def note_opening(self, standing: Standing | None) -> None:
        """Keep what the present rung has counted before its successor is opened."""
        if standing is not None and standing.goes_on:
            standing.opened = self._latest(standing)

    def remember(self, standing: Standing | None) -> None:
        """Keep what it has counted until now, when it is released."""
        if standing is None or not standing.goes_on:
            return
        if (now := self._latest(standing)) is not None:
            self._past = carried.ended(self._hook, standing.opened, now)

    def follow(self, before: Standing | None, standing: Standing) -> str:
        """Add what was counted before to what it will count; else return since when it counts."""
        some = CarriedTotals()
        if before is not None and before.goes_on:
            some = self._begun(standing)
        self.remember(before)
        past = self._past
        if past is not None and standing.rung.from_zero and (self._epoch + 1) % SERIES:
            first = carried.halfway(self._hook, some, self._begun(standing))
            self._epoch += 1
            standing.epoch = self._epoch
            standing.base = carried.base(self._hook, past, first)
            return ""
        standing.epoch = next(_series) * SERIES
        if standing.rung.from_zero:
            self._epoch = standing.epoch
        return f"{ANEW}{time.strftime('%H:%M:%S')}" if past is not None and past.rows else ""

    def of(self, standing: Standing, now: CarriedTotals) -> CarriedTotals:
        """Return all that was counted. now: what it has counted itself."""
        return now if standing.base is None else carried.total(self._hook, standing.base, now)

    def _begun(self, standing: Standing) -> CarriedTotals:
        """Return what it has counted already, beside its predecessor."""
        with suppress(Exception):
            return self._read(standing)
        return CarriedTotals()

    def _latest(self, standing: Standing) -> CarriedTotals | None:
        """Return its totals now, or at its latest reading; None where it was never read."""
        with suppress(Exception):
            return self._read(standing)
        last = standing.last
        if last is None:
            return None
        return CarriedTotals(last.rows, last.lost, last.unlogged, last.forgotten)

    def _read(self, standing: Standing) -> CarriedTotals:
        reading, _ = standing.reading()
        self.unsaid += reading.log
        return self.of(standing, standing.counted(self._hook, reading))

    def log(self, reading: Reading) -> tuple[Row, ...]:
        """Return the log's events since the previous sample."""
        unsaid, self.unsaid = self.unsaid, []
        return log_with_owners(self._hook, (*unsaid, *reading.log))
