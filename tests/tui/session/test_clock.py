"""The host's clock is set while the screen looks on: graphs, heat and times go on."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from probes.analysis.heat import SLOT_SECONDS, Heat
from probes.analysis.history import Figure, History
from probes.analysis.snapshot import Snapshot
from probes.hooks import catalogue
from probes.model import Enforced, HookId, Sample, State, Status
from probes.units import Unit
from tui.session.collector import Collector

HOOK = catalogue()["tcp-rtt"]
ID = HookId("tcp-rtt")
_REST = (0,) * (len(HOOK.stored) - 1)
FIGURE = Figure(
    "rtt", "RTT", Unit.US, "tcp-rtt", lambda s: {k: float(str(k[0])) for k in s[0].sample.rows}
)
STEPS = (-3600.0, 3600.0, -1e9)
BEGIN = 1_767_312_000.0


class _Nothing:
    """As little of a source as a collector takes."""

    catalogue = catalogue()
    interval = 1.0

    def statuses(self) -> tuple[Status, ...]:
        return ()

    def rules(self) -> tuple[Enforced, ...]:
        return ()

    def knob(self, name: str) -> str | None:
        del name

    def process(self, pid: int) -> None:
        del pid


def _read(second: int, step: float, rtt: tuple[int, ...] = ()) -> Sequence[Snapshot]:
    """The clock is set after 60 seconds."""
    row = {(second,): (second, *_REST)}
    if rtt:
        place = HOOK.places.names.index("rtt")
        row = {(1,): tuple(rtt if i == place else 0 for i in range(len(HOOK.stored)))}  # type: ignore[dict-item]
    wall = BEGIN + second + step * (second >= 60)
    sample = Sample(Status(ID, State.ATTACHED), 500.0 + second, wall, 1, row)  # type: ignore[arg-type]
    return (Snapshot(HOOK, sample, 1.0, ()),)


@pytest.mark.parametrize("step", STEPS)
def test_the_past_is_cut_where_it_was(step: float) -> None:
    history = History((FIGURE,))
    for second in range(120):
        history.add("tcp-rtt", _read(second, step))
    assert history.until(500.0 + 30) == {"tcp-rtt": 31}
    assert history.until(500.0 + 90) == {"tcp-rtt": 91}


@pytest.mark.parametrize("step", STEPS)
def test_heat_has_every_slot_once_and_ends_now(step: float) -> None:
    heat = Heat()
    for second in range(121):
        heat.add(_read(second, step, (second, 0)))
    slots = heat.of(ID, "rtt", (1,), 500.0 + 120)
    assert [slot.hits for slot in slots] == [{0: SLOT_SECONDS}] * 24
    assert [slot.wall - slots[0].wall for slot in slots] == [SLOT_SECONDS * n for n in range(24)]
    assert slots[-1].wall + SLOT_SECONDS == BEGIN + 120 + step


@pytest.mark.parametrize("step", STEPS)
def test_the_screen_s_time_is_that_of_the_newest_reading(step: float) -> None:
    collector = Collector(_Nothing(), [], lambda _: None, lambda *_: None)  # type: ignore[arg-type]
    for second in (58, 59, 60, 61):
        collector._take("tcp-rtt", tuple(_read(second, step)))
    assert (collector.view.wall, collector.view.time) == (BEGIN + 61 + step, 561.0)
    collector._take("tcp-rtt", tuple(_read(50, step)))  # one that is read seldom
    assert collector.view.time == 561.0


async def test_nothing_is_judged_by_a_moment() -> None:
    """The first two readings follow each other closely: rates of chance, shown but not kept."""

    figures = [FIGURE]
    collector = Collector(_Nothing(), figures, lambda _: None, lambda *_: None)  # type: ignore[arg-type]
    seen = []
    for seconds in (0.0, 0.25, 1.25, 2.0):
        sample = Sample(Status(ID, State.ATTACHED), 500.0 + seconds, BEGIN + seconds, 1, {})
        collector._look_at("tcp-rtt", (sample,))
        seen.append(collector.view.history.until(1000.0))
    assert seen == [{"tcp-rtt": 1}, {"tcp-rtt": 1}, {"tcp-rtt": 2}, {"tcp-rtt": 3}]
