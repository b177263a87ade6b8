"""The stage for screen tests: the app on the demo, at a moment that stands still."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot

from probes.demo import Demo
from tui.app import Monitor

INCIDENT = 50.0
"""Virtual second in which everything is wrong at once."""


class Steps:
    """A pace that lets every worker take so many steps and then stand still."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._taken: Counter[Any] = Counter()
        self._more = asyncio.Event()

    async def __call__(self, _seconds: float) -> None:
        worker = asyncio.current_task()
        self._taken[worker] += 1
        while self._taken[worker] >= self._steps:
            self._more.clear()
            await self._more.wait()
        await asyncio.sleep(0)

    def go(self, steps: int) -> None:
        """So many more."""
        self._steps += steps
        self._more.set()

    @property
    def steps(self) -> int:
        return self._steps


def stage(
    until: float = INCIDENT,
    ticks: int = 30,
    source: type[Demo] = Demo,
    pane: str = "interfaces",
    **options: Any,
) -> Monitor:
    """The app as it stands at that second, having seen so many ticks, on that pane."""
    pace = Steps(ticks)
    demo = source(begin=until - ticks + 1, pace=pace)
    app = Monitor(demo, cpu_seconds=lambda: 0.0, memory=lambda: 64 << 20, **options)
    app._pane = app._tab = next(p for p in app.panes if p.name == pane)
    app.pace = pace  # type: ignore[attr-defined]
    app.tend = lambda: None  # type: ignore[method-assign]  # it is tried where a test says so
    return app


async def settle(pilot: Pilot[Any]) -> None:
    """Wait until every worker has taken its steps and everything is painted."""
    app: Any = pilot.app
    while app.is_running and not all(
        app.live.history.ticks.get(hook, 0) >= app.pace.steps for hook in app.source.catalogue
    ):
        await asyncio.sleep(0.001)
    for _ in range(2):
        await pilot.pause()
        app.collector.note_statuses()
        app.paint()
    await pilot.pause()


@asynccontextmanager
async def playing(
    size: tuple[int, int] = (120, 40), **options: Any
) -> AsyncIterator[tuple[Monitor, Pilot[Any]]]:
    """The app at that moment, and a pilot."""
    app = stage(**options)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        yield app, pilot


def text(app: Monitor) -> str:
    """What is on the screen, as text."""
    size = app.size
    return "\n".join(strip.text for strip in app.screen_stack[0]._compositor.render_strips(size))


async def step(pilot: Pilot[Any], steps: int = 1) -> None:
    """Virtual time goes on by so many ticks."""
    pilot.app.pace.go(steps)  # type: ignore[attr-defined]
    await settle(pilot)
