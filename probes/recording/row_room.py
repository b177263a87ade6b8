"""The rows of moments that were read elsewhere, as many as there is memory for.

A recording's or another host's: `RowLimit` limits those that are read here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from probes.ladder.row_limit import RowLimit
from probes.model import Hook, HookId, Sample
from probes.recording.encoder import Tick

Samples = tuple[Sample, ...]


class RowRoom:
    """An adapter of moments to a limit on rows, one after the other.

    shared: the limit, which may be changed meanwhile. What was not read again stays the same
    object.
    """

    def __init__(self, shared: RowLimit) -> None:
        self._shared = shared
        self._given: dict[str, tuple[Samples, Samples]] = {}
        self._long: set[HookId] = set()
        self._limit = RowLimit(shared.total)

    def another(self) -> RowRoom:
        """Return one for other moments, within the same limit."""
        return RowRoom(self._shared)

    def tick(self, tick: Tick, hooks: Mapping[str, Hook]) -> Tick:
        """Return the moment with as many rows as there is room for."""
        self._share_out([s for samples in tick.samples.values() for s in samples])
        known, self._given = self._given, {}
        for name, samples in tick.samples.items():
            if name in known and known[name][0] is samples:
                self._given[name] = known[name]
                continue
            fitted = tuple([self._fitted(hooks[name], s) for s in samples])
            same = all(a is b for a, b in zip(samples, fitted, strict=True))
            self._given[name] = samples, samples if same else fitted
        return replace(tick, samples={name: given for name, (_, given) in self._given.items()})

    def _share_out(self, samples: list[Sample]) -> None:
        """Leave out of the sharing what has no more rows than a fair share: it keeps all.

        There may be thousands of them, and to share is to sort all that take part.
        """
        fair = self._shared.total // max(len(samples), 1)
        long = {s.status.id for s in samples if len(s.rows) > fair}
        short = sum(len(s.rows) for s in samples if len(s.rows) <= fair)
        for gone in self._long - long:
            self._limit.forget(gone)
        self._long, self._limit.total = long, self._shared.total - short

    def _fitted(self, hook: Hook, sample: Sample) -> Sample:
        if sample.status.id not in self._long:
            return sample
        kept = self._limit.fit(sample.status.id, hook, list(sample.rows.values()))
        left_out = len(sample.rows) - len(kept)
        if not left_out:
            return sample
        there = set(map(id, kept))
        rows = {key: row for key, row in sample.rows.items() if id(row) in there}
        return replace(sample, rows=rows, forgotten=sample.forgotten + left_out)
