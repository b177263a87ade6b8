"""Moments of a host whose clock is set while it is watched."""

from __future__ import annotations

from collections.abc import Iterable

from probes.hooks import catalogue
from probes.model import HookId, Sample, State, Status
from probes.recording.encoder import Tick
from probes.recording.tape import Tape

DROPS = Status(HookId("drops"), State.ATTACHED)


def moments(walls: Iterable[float], begin: float = 1000.0) -> list[Tick]:
    """One each second by the monotonic clock, with what the other one says."""
    read = [(Sample(DROPS, begin + n, wall),) for n, wall in enumerate(walls)]
    return [Tick(samples[0].wall, 1.0, {"drops": samples}, (DROPS,)) for samples in read]


def tape(walls: Iterable[float], seconds: float = 900) -> Tape:
    made = Tape(catalogue(), seconds=seconds)
    for tick in moments(walls):
        made.add(tick)
    return made
