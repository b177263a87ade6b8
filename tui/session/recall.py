"""Histories and logs before the moment of a recording that was jumped to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from probes.analysis.history import Figure, History
from probes.analysis.snapshot import Trail, WindowRoom
from probes.recording.codec import Malformed
from probes.recording.encoder import Tick
from probes.recording.tape import Timeline
from tui.session.collector import MAX_LOGGED
from tui.session.view import Decided


async def recall(
    timeline: Timeline, until: Callable[[], int | None], figures: Iterable[Figure]
) -> tuple[History, dict[str, deque[Decided]]] | None:
    """Return history and logs up to a moment, as if all of it had been watched.

    until: returns the moment, which may move on meanwhile; None to cancel.
    """
    history, trails, room = History(figures), dict[str, Trail](), WindowRoom()
    decided: dict[str, deque[Decided]] = {}
    before: Tick | None = None
    number = max((until() or 0) - History.LENGTH, timeline.first)
    while (last := until()) is not None:
        if number > last:
            return history, decided
        try:
            tick = timeline.at(number)
        except Malformed:
            number += 1
            continue
        for hook, samples in tick.fresh(before).items():
            trail = trails.setdefault(hook, Trail(timeline.hooks[hook], room=room))
            history.add(hook, trail.snapshots(samples))
            for sample in samples:
                if sample.log:
                    kept = decided.setdefault(hook, deque(maxlen=MAX_LOGGED))
                    kept.extend(Decided(sample.wall, row, sample.time) for row in sample.log)
        before = tick
        number += 1
        await asyncio.sleep(0)
    return None
