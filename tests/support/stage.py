"""The stage for screen tests: the app on the demo, at a moment that stands still."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Any

import textual.app
import textual.pilot
from textual._context import active_app
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet
from textual.pilot import Pilot

from probes.analysis.cases import judgement
from probes.sources.demo.scenario import Script, Values
from probes.sources.demo.source import Demo
from tests.support.prepared import Prepared
from tui.screen.app import Monitor
from tui.toolkit.detail import figure_lines
from tui.toolkit.vitals_strip import strip

INCIDENT = 50.0
"""Virtual second in which everything is wrong at once."""


async def _quiet(*_: float) -> None:
    """Until everything is done and drawn, and nothing is left but to wait. (Textual's own sleeps
    for 20 ms, several times a key, and asks whether the process has used a CPU meanwhile.)"""
    app = active_app.get()
    await _idle()
    if app._resize_timer is not None:  # Textual waits a moment for another resize
        app._check_resize()
        await _idle()
    for _ in range(2):  # a layout, and what was to be called after it
        if app.is_running and app.screen_stack:
            app.screen._on_timer_update()
            await _idle()


async def _idle() -> None:
    """Until every other task waits for something."""
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    turns = 0
    while turns < 3:
        await asyncio.sleep(0)
        turns = 0 if ready else turns + 1


textual.app.wait_for_idle = textual.pilot.wait_for_idle = _quiet


_parse_rules, _PARSED = Stylesheet._parse_rules, dict[Hashable, list[RuleSet]]()


def _parsed_once(sheet: Stylesheet, *source: Any, **more: Any) -> list[RuleSet]:
    """Rules of style, which every app would parse again."""
    key = (*sheet._variables.items(), *source, *more.items())
    if key not in _PARSED:
        _PARSED[key] = _parse_rules(sheet, *source, **more)
    return _PARSED[key]


Stylesheet._parse_rules = _parsed_once  # type: ignore[method-assign]


class Played(Script):
    """The script, of which each part is calculated once for all tests of a run."""

    _PARTS: dict[tuple[Any, ...], list[Values]] = {}

    def rows(self, hook: str, target: str | None, since: float, time: float) -> list[Values]:
        if self.lived:  # drop rules: they change what comes after them
            return super().rows(hook, target, since, time)
        part = (self._seed, hook, target, since, time)
        if part not in self._PARTS:
            self._PARTS[part] = super().rows(hook, target, since, time)
        return self._PARTS[part]


class Steps:
    """A pace that lets every worker take so many steps and then stand still.

    reached: called at each step, once.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._taken: Counter[Any] = Counter()
        self._reached = 0
        self.reached: Callable[[], object] = lambda: None
        self._more = asyncio.Event()

    async def __call__(self, _seconds: float) -> None:
        worker = asyncio.current_task()
        self._taken[worker] += 1
        if self._taken[worker] > self._reached:
            self._reached += 1
            self.reached()
        while self._taken[worker] >= self._steps:
            self._more.clear()
            await self._more.wait()
        await asyncio.sleep(0)

    async def resume(self) -> None:
        """Wait, as a worker that has taken all its steps."""
        self._reached = max(self._reached, self._steps)
        self._taken[asyncio.current_task()] = self._steps - 1
        await self(0)

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
    pane: str | None = "interfaces",
    **options: Any,
) -> Monitor:
    """The app at that second, having seen so many ticks, on that pane (None: the first).

    A source whose class says `prepared` is told by its class: it may begin with what is kept.
    """
    pace = Steps(ticks)
    demo = source(begin=until - ticks + 1, pace=pace)
    demo._script = demo._rules._script = Played(seed=0)
    app = Monitor(demo, cpu_seconds=lambda: 0.0, memory=lambda: 64 << 20, **options)
    if pane is not None:
        app.place.go(next(p for p in app.place.panes if p.name == pane))
    app.pace = pace  # type: ignore[attr-defined]
    # Hit rates are made of when rules were looked at.
    pace.reached = app.session.collector.note_rules
    # Tried where a test says so.
    app.leases.tend = lambda: None  # type: ignore[method-assign]
    only_looks = not options.keys() - {"theme_name", "ascii", "mouse"}
    if getattr(source, "prepared", source is Demo) and only_looks:
        key = (source, until, ticks, judgement.DETECTORS)
        if Prepared.restore(key, app):
            demo.start, demo.samples = _nothing, _from_there(demo, until + 1)  # type: ignore[method-assign]
        else:
            app.prepared_as = key  # type: ignore[attr-defined]
    return app


async def _nothing() -> None: ...


def _from_there(demo: Demo, begin: float) -> Any:
    """What the demo gives from that second on, to workers that have had what was before."""

    async def samples(hook: str) -> Any:
        await demo._pace.resume()  # type: ignore[attr-defined]
        demo._begin = begin
        async for read in type(demo).samples(demo, hook):
            yield read

    return samples


async def settle(pilot: Pilot[Any]) -> None:
    """Wait until every worker has taken its steps and everything is painted."""
    app: Any = pilot.app
    session = app.session
    while app.is_running and not all(
        session.live.history.ticks.get(hook, 0) >= app.pace.steps
        for hook in session.source.catalogue
    ):
        await asyncio.sleep(0.001)
    if "prepared_as" in vars(app):
        Prepared.keep(vars(app).pop("prepared_as"), app)
    await pilot.pause()
    session.note()
    app.repaint()
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


def everything(app: Any) -> list[object]:
    """What the pane makes of the view that is looked at."""
    pane, view = app.place.pane, app.session.view
    said: list[object] = []
    for record in pane.records(view):
        said.append((record.key, record.name, record.values, record.mark))
        said += [figure_lines(f, pane, view, record, 60, 4) for f in pane.figures]
        said.append(pane.detail(view, record, 100))
    said += [pane.trouble(view), pane.below and pane.below(view, 100, 20)]
    return [*said, pane.draw and pane.draw(view, app.table.record, 100, 20), strip(view, 120, 2)]
