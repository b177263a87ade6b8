"""Samples of a rung: its totals, with as many rows as there is memory for."""

from __future__ import annotations

import time
from collections.abc import Mapping

from probes.ladder import carried
from probes.ladder.carried import CarriedTotals
from probes.ladder.row_limit import RowLimit
from probes.ladder.standing import Standing
from probes.ladder.totals import SeriesTotals
from probes.model import Cost, Hook, HookId, Key, Reading, Row, Sample, Status


class Sampler:
    """A maker of one hook's samples on one target. rows: their limit; None: no limit."""

    def __init__(self, hook: Hook, totals: SeriesTotals, rows: RowLimit | None) -> None:
        self._hook, self._totals, self._rows = hook, totals, rows

    def forget(self, id: HookId) -> None:
        """Forget everything, as nothing is attached any more."""
        if self._rows is not None:
            self._rows.forget(id)

    def empty(self, status: Status) -> Sample:
        """Return a sample where nothing is attached, or nothing was read yet."""
        rows = self._fitting(status.id, {})
        log = self._totals.log(Reading())
        return Sample(status, time.monotonic(), time.time(), rows=rows, log=log)

    def sample(
        self, standing: Standing, status: Status, reading: Reading, cost: Cost | None
    ) -> Sample:
        now, own = time.monotonic(), standing.counted(self._hook, reading)
        counted = self._totals.of(standing, own)
        rows = self._fitting(status.id, counted.rows)
        self._leave_out(standing, own, counted, rows)
        return Sample(
            status=status,
            time=now,
            wall=time.time(),
            epoch=standing.epoch,
            rows=rows,
            lost=counted.lost,
            unlogged=counted.unlogged,
            cost=cost,
            log=self._totals.log(reading),
            from_zero=standing.rung.from_zero,
            forgotten=counted.forgotten + len(counted.rows) - len(rows),
        )

    def _fitting(self, id: HookId, rows: Mapping[Key, Row]) -> Mapping[Key, Row]:
        """Return the rows that there is memory for."""
        return rows if self._rows is None else self._rows.fit(id, self._hook, rows)

    def _leave_out(
        self,
        standing: Standing,
        own: CarriedTotals,
        counted: CarriedTotals,
        rows: Mapping[Key, Row],
    ) -> None:
        """Discard rows for good that nothing counts now and that there is no memory for."""
        if standing.base is not None and len(rows) < len(counted.rows):
            standing.base = carried.left_out(self._hook, standing.base, own.rows, rows)
