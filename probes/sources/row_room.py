"""Rows of a recording or another host, as many as there is memory for.

`RowLimit` limits those that are read here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice

from probes.arrays import np
from probes.columns.row_table import RowTable
from probes.ladder.row_limit import RowLimit
from probes.model import Hook, HookId, Sample
from probes.recording.codec import cells_of, memory_for
from probes.recording.decoder import ROW
from probes.recording.encoder import Tick

Samples = tuple[Sample, ...]
Fits = Callable[[int], int]
"""Number of rows that fit beside a moment that takes so many bytes to be read."""
_WEIGHED = 4
"""Rows of a sample that tell what each of them takes."""


class RowRoom:
    """An adapter of moments to the memory that there is, one after the other.

    The next moment is read as changes of the one before, so all of it is there at the same time:
    the larger it is, the fewer rows are passed on, of which ten seconds and a history are kept.
    What was not read again stays the same object.
    """

    def __init__(self, fits: Fits) -> None:
        self._fits = fits
        self._given: dict[str, tuple[Samples, Samples]] = {}
        self._weights: dict[str, int] = {}
        self._limits: dict[HookId, RowLimit] = {}

    @property
    def cells(self) -> int:
        """About as many cells as the moment had that was read last."""
        return sum(self._weights.values())

    def another(self) -> RowRoom:
        """Return one for other moments, within the same memory."""
        return RowRoom(self._fits)

    def tick(self, tick: Tick, hooks: Mapping[str, Hook]) -> Tick:
        """Return the moment with as many rows as there is room for."""
        known, self._given = self._given, {}
        fresh = {n for n, read in tick.samples.items() if n not in known or known[n][0] is not read}
        self._weigh(tick, fresh)
        self._share_out([s for samples in tick.samples.values() for s in samples])
        for name, samples in tick.samples.items():
            if name not in fresh:
                self._given[name] = known[name]
                continue
            fitted = tuple([self._fitted(hooks[name], s) for s in samples])
            same = all(a is b for a, b in zip(samples, fitted, strict=True))
            self._given[name] = samples, samples if same else fitted
        return replace(tick, samples={name: given for name, (_, given) in self._given.items()})

    def _weigh(self, tick: Tick, fresh: set[str]) -> None:
        known = self._weights
        self._weights = {
            name: sum(map(_cells, samples)) if name in fresh else known[name]
            for name, samples in tick.samples.items()
        }

    def _share_out(self, samples: list[Sample]) -> None:
        """Give each of the long lists its limit; the others are kept whole."""
        total = self._fits(memory_for(self.cells))
        share = _share([len(s.rows) for s in samples], total)
        known = self._limits
        self._limits = {
            s.status.id: known.get(s.status.id) or RowLimit(share)
            for s in samples
            if len(s.rows) > share
        }
        for limit in self._limits.values():
            limit.total = share

    def _fitted(self, hook: Hook, sample: Sample) -> Sample:
        limit = self._limits.get(sample.status.id)
        if limit is None:
            return sample
        rows = limit.fit(sample.status.id, hook, sample.rows)
        left_out = len(sample.rows) - len(rows)
        if not left_out:
            return sample
        return replace(sample, rows=rows, forgotten=sample.forgotten + left_out)


def _cells(sample: Sample) -> int:
    """Return about how many cells its rows have."""
    rows = sample.rows
    some = rows.at(np.arange(min(_WEIGHED, len(rows)))) if isinstance(rows, RowTable) else rows
    weighed = list(islice(some.values(), _WEIGHED))
    cells = sum(ROW + sum(map(cells_of, row)) for row in weighed)
    return cells * len(sample.rows) // max(len(weighed), 1)


def _share(counts: list[int], total: int) -> int:
    """Return the most rows of one list such that all together are no more than `total`."""
    left, lists = total, len(counts)
    for count in sorted(counts):
        if count * lists > left:
            break
        left, lists = left - count, lists - 1
    return left // lists if lists else max(counts, default=0)
