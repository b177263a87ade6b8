"""The past of a moment that a replay jumped to: histories, logs and cases."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from probes.analysis.facts import Facts
from probes.analysis.funnel import remember
from probes.analysis.history import Figure, History
from probes.analysis.hit_rates import Hits
from probes.analysis.snapshot import Trail, WindowRoom
from probes.model import HookId, Sample
from probes.recording.codec import Malformed
from probes.recording.encoder import Tick
from probes.recording.tape import Timeline
from tui.session.collector import MAX_LOGGED, Recollection
from tui.session.view import Decided, new_log


async def recall(
    timeline: Timeline, until: Callable[[], int | None], figures: Iterable[Figure]
) -> Recollection | None:
    """Return what there was up to a moment, as if all of it had been watched.

    until: returns the moment, which may move on meanwhile; None to cancel.
    """
    recalling, before = _Recalling(timeline, figures), None
    number = max((until() or 0) - History.LENGTH, timeline.first)
    while (last := until()) is not None:
        if number > last:
            return recalling.recalled
        try:
            tick = timeline.at(number)
        except Malformed:
            number += 1
            continue
        recalling.take(tick, tick.fresh(before))
        before = tick
        number += 1
        await asyncio.sleep(0)
    return None


class _Recalling:
    """A watcher of moments, one after the other, as a collector is."""

    def __init__(self, timeline: Timeline, figures: Iterable[Figure]) -> None:
        self._hooks, self._room, self._hits = timeline.hooks, WindowRoom(), Hits()
        self._trails: dict[str, Trail] = {}
        self._there: dict[str, set[HookId]] = {}
        self._facts = Facts(timeline.hooks, History(figures))
        self.recalled = Recollection(self._facts.history, {}, new_log())

    def take(self, tick: Tick, fresh: Mapping[str, tuple[Sample, ...]]) -> None:
        facts = self._facts
        facts.statuses, facts.dropping = tick.statuses, self._hits.take(tick.rules)
        for hook, samples in fresh.items():
            self._read(hook, samples)
        facts.time, facts.wall = tick.time, tick.wall
        facts.version += 1
        self.recalled.log.take(facts)

    def _read(self, hook: str, samples: tuple[Sample, ...]) -> None:
        facts = self._facts
        if hook not in self._trails:
            self._trails[hook] = Trail(self._hooks[hook], room=self._room)
        snapshots = self._trails[hook].snapshots(samples)
        facts.history.add(hook, snapshots)
        remember(facts.since, samples)
        there = {snapshot.id: snapshot for snapshot in snapshots}
        for id in self._there.get(hook, set()) - there.keys():
            facts.snapshots.pop(id, None)
        facts.snapshots.update(there)
        self._there[hook] = set(there)
        for sample in samples:
            if sample.log:
                kept = self.recalled.decided.setdefault(hook, deque(maxlen=MAX_LOGGED))
                kept.extend(Decided(sample.wall, row, sample.time) for row in sample.log)
