"""A recording on the screen: every pane as it was live, at any moment, and keys that play."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from probes.hooks import catalogue
from probes.recording.encoder import Tick
from probes.recording.reader import Recording
from probes.recording.tape import KEY_EVERY
from probes.recording.writer import RecordingError
from probes.sources.demo.source import Demo
from probes.sources.replay import Replay
from tests.support.amounts import amounts
from tests.support.one_trouble import FAILING, LOSS, one_trouble
from tests.support.recordings import demo_ticks, record
from tests.support.stage import Steps, everything, text
from tui.output.document import document
from tui.screen.app import Monitor

__all__ = ["one_trouble"]
SMALL = (60, 12)
PANES = ["overview", "interfaces", "syscalls", "connects", "rtt", "hooks"]


@cache
def _ticks() -> list[Tick]:
    return asyncio.run(demo_ticks(110))


_RECORDED: list[bytes] = []


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    path = tmp_path / "demo.rec"
    if not _RECORDED:
        _RECORDED.append(record(path, _ticks()).read_bytes())
    path.write_bytes(_RECORDED[0])
    return path


async def _settle(app: Any, pilot: Any) -> None:
    """Until the moment is on the screen, and what was before it is recalled."""
    while any("recalled" in repr(task.get_coro()) for task in asyncio.all_tasks()):
        await asyncio.sleep(0.001)
    for _ in range(2):
        await pilot.pause()
        app.session.note()
        app.repaint()
    await pilot.pause()


@asynccontextmanager
async def replaying(
    path: Path, begin: int = 50, size: tuple[int, int] = (120, 40), pane: str = "interfaces"
) -> AsyncIterator[tuple[Any, Any]]:
    """The screen on a recording that stands still at a moment: it goes on by `pace.go`."""
    pace = Steps(1)
    source = Replay(Recording(path, catalogue()), begin=begin, pace=pace)
    app: Any = Monitor(source, cpu_seconds=lambda: 0.0)
    app.place.pane = app.place.tab = next(p for p in app.place.panes if p.name == pane)
    async with app.run_test(size=size) as pilot:
        await _settle(app, pilot)
        app.pace = pace
        yield app, pilot


async def _press(app: Any, pilot: Any, *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
    await _settle(app, pilot)


async def _go(app: Any, pilot: Any, steps: int) -> None:
    app.pace.go(steps)
    for _ in range(20 * steps):
        await asyncio.sleep(0)
    await _settle(app, pilot)


async def _each_pane(app: Any, pilot: Any) -> dict[str, list[object]]:
    """What every pane makes of what the screen has seen."""
    said = {}
    for pane in PANES:
        await _press(app, pilot, str([p.name for p in app.place.panes].index(pane) + 1))
        said[pane] = _without_log(everything(app))
    return said


@cache
def _live(until: int) -> dict[str, list[object]]:
    """What each pane makes of the demo at a second, when it saw it from the beginning."""

    async def seen() -> dict[str, list[object]]:
        app: Any = Monitor(_Ticks(until, Steps(1)), cpu_seconds=lambda: 0.0)
        async with app.run_test(size=(120, 40)) as pilot:
            while app.session.live.history.ticks.get("tcp-rtt", 0) <= until:
                await asyncio.sleep(0.001)
            await _settle(app, pilot)
            return await _each_pane(app, pilot)

    with ThreadPoolExecutor() as pool:  # there is a loop in this thread
        return pool.submit(asyncio.run, seen()).result()


class _Ticks(Demo):
    """The demo, moment by moment as they were recorded, as a live source gives them."""

    def __init__(self, until: int, pace: Any) -> None:
        super().__init__(pace=pace)
        self._until = until
        self._at = 0

    async def start(self) -> None: ...

    def statuses(self) -> Any:
        return _ticks()[self._at].statuses

    def rules(self) -> Any:
        return _ticks()[self._at].rules

    @staticmethod
    def knob(name: str) -> None:
        del name  # a recording does not know them

    @staticmethod
    def process(pid: int) -> None:
        del pid

    async def samples(self, hook: str) -> Any:
        for at, tick in enumerate(_ticks()[: self._until + 1]):
            self._at = at
            if hook in tick.samples:
                yield tick.samples[hook]
            await asyncio.sleep(0)


@pytest.mark.parametrize("how", ["jumped forth", "jumped back", "played"])
async def test_every_pane_is_what_it_was_live(recorded: Path, how: str) -> None:
    """Rows, rates, windows, graphs, details, troubles: to the last digit."""
    begin = {"jumped forth": 20, "jumped back": 100, "played": 57}[how]
    async with replaying(recorded, begin) as (app, pilot):
        if how == "played":
            await _go(app, pilot, 3)
        else:
            await _press(app, pilot, "J", *"00:01:00", "enter")
        assert app.session.source.number == 60
        assert "REPLAY 00:01:00" in text(app)
        said = await _each_pane(app, pilot)
        for pane, expected in _live(60).items():
            assert said[pane] == expected, pane


def _without_log(said: list[Any]) -> list[Any]:
    """The log of hooks and rules is told by the recording, in fewer words."""
    words = ("attached", "detached", "passive", "dropping", "ended after")

    def told(line: Any) -> bool:
        return any(word in str(line) for word in words)

    kept = [[x for x in s if not told(x)] if isinstance(s, list) else s for s in said]
    return [s for s in kept if s]


async def test_numbers_are_right_at_once_after_a_jump(recorded: Path) -> None:
    """Before anything of what was before is recalled."""
    async with replaying(recorded, 5) as (app, _):
        app.time.go(61)
        snapshots = list(app.session.live.snapshots.values())
        source = app.session.source
        there = list(source.timeline.snapshots(61).values())
        assert document(source.host, 0, 1, snapshots) == document(source.host, 0, 1, there)
        drops = next(s for s in snapshots if s.id.hook == "drops")
        assert any(r.rate("packets") > 900 for r in drops.rows)


async def test_pause_step_speed_marks_times(recorded: Path) -> None:
    """The story of who plays a recording."""
    async with replaying(recorded, 50, size=(120, 24)) as (app, pilot):
        assert "REPLAY 00:00:50 1x  demo.rec" in text(app)
        await _press(app, pilot, "space")
        assert "REPLAY 00:00:50 paused  demo.rec" in text(app)
        await _go(app, pilot, 3)
        assert app.session.source.number == 50
        await _press(app, pilot, "space", "plus", "plus")
        here = app.session.source.number
        assert here > 50, "it goes on where it stood"
        assert f"REPLAY 00:00:{here} 5x" in text(app)
        await _press(app, pilot, "minus")
        assert f"REPLAY 00:00:{here} 2x" in text(app)
        await _press(app, pilot, "left_square_bracket", "left_square_bracket")
        assert f"REPLAY 00:00:{here - 2} paused" in text(app)
        await _press(app, pilot, "right_square_bracket")
        assert f"REPLAY 00:00:{here - 1} paused" in text(app)
        await _press(app, pilot, "left_curly_bracket")
        assert "REPLAY 00:00:40 paused  demo.rec: dropping on eth1: src 203" in text(app)
        assert "DROPPING eth1: src 203.0.113.66" in text(app)
        await _press(app, pilot, "J", *"-20", "enter")
        assert "REPLAY 00:00:20 paused" in text(app)
        assert "DROPPING" not in text(app)
        await _press(app, pilot, "J", *"13:00")
        assert "there is nothing at 13:00: the range is 00:00:00 to 00:01:49" in text(app)
        await _press(app, pilot, "escape", "right_parenthesis", "right_parenthesis")
        assert "REPLAY 00:01:49 at its end" in text(app)
        await _press(app, pilot, "space")
        assert "REPLAY 00:00:00 2x" in text(app)


async def test_filter_sort_and_detail_work_and_stay_over_a_jump(recorded: Path) -> None:
    async with replaying(recorded, 50, pane="connects") as (app, pilot):
        await _press(app, pilot, "slash", *"billing", "enter", "enter")
        assert "billing[2390]" in text(app)
        await _press(app, pilot, "left_parenthesis")
        assert app.session.source.number == 0
        await _press(app, pilot, "J", *"00:30", "enter", "escape")
        assert [r.name for r in app.table.rows] == ["10.0.0.5:5432"]


@pytest.mark.parametrize(
    ("pane", "keys"),
    [("hooks", "a"), ("hooks", "d"), ("interfaces", "D"), ("interfaces", "W"), ("interfaces", "w")],
)
async def test_nothing_is_done_to_what_was(recorded: Path, pane: str, keys: str) -> None:
    async with replaying(recorded, 50, pane=pane) as (app, pilot):
        await _press(app, pilot, *keys)
        assert app.prompt.question is None
        assert next(n.message for n in app._notifications).startswith("this is a recording")


async def test_looking_at_details_attaches_nothing(recorded: Path) -> None:
    async with replaying(recorded, 50, pane="syscalls") as (app, pilot):
        await _press(app, pilot, "enter")
        await asyncio.sleep(0.05)
        await _settle(app, pilot)
        assert "this is a recording" not in text(app)


async def test_a_damaged_part_is_skipped_and_said(recorded: Path) -> None:
    timeline = Recording(recorded, catalogue())
    place = timeline._frames[30].place
    timeline.close()
    with recorded.open("r+b") as file:
        file.seek(place + 40)
        file.write(b"\xff" * 8)
    async with replaying(recorded, 29) as (app, pilot):
        await _go(app, pilot, 1)
        assert app.session.source.number == KEY_EVERY, "the next moment that stands for itself"
        assert "REPLAY 00:00:45 1x  demo.rec: cannot be read: it is damaged" in text(app)
        await _press(app, pilot, "left_parenthesis")
        assert app.session.source.number == 0


async def test_a_damaged_end_is_the_end(recorded: Path) -> None:
    timeline = Recording(recorded, catalogue())
    place = timeline._frames[100].place
    timeline.close()
    with recorded.open("r+b") as file:
        file.seek(place + 40)
        file.write(b"\xff" * 8)
    async with replaying(recorded, 98) as (app, pilot):
        await _go(app, pilot, 5)
        assert app.session.source.number == 99
        assert "REPLAY 00:01:39 at its end  demo.rec: cannot be read" in text(app)
        await _press(app, pilot, "J", *"00:01:45", "enter")
        assert "REPLAY 00:01:39 at its end" in text(app)


def test_where_nothing_can_be_read_it_is_said(recorded: Path) -> None:
    timeline = Recording(recorded, catalogue())
    with recorded.open("r+b") as file:
        for n in timeline._keys:
            file.seek(timeline._frames[n].place + 40)
            file.write(b"\xff" * 8)
    with pytest.raises(RecordingError, match="nothing from that time can be read"):
        Replay(timeline, begin=50)


def _cases(app: Any) -> list[tuple[object, ...]]:
    """What is said of cases, in order, and what the events below the table say of them."""
    view = app.session.view
    found = [(f.id, f.state, f.since, f.until, f.watched) for f in view.findings()]
    return [*found, *((t.wall, t.state, t.case.head.id) for t in view.turns())]


@amounts("jumps", quick=(60, 95, 30), slow=(60, 95, 40, 80, 30, 99, 75, 20))
@pytest.mark.usefixtures("one_trouble")
async def test_cases_are_those_that_a_watcher_would_have_seen(
    recorded: Path, jumps: tuple[int, ...]
) -> None:
    """After jumps forth and back, too: since when, easing, over."""
    watched: dict[int, list[tuple[object, ...]]] = {}
    async with replaying(recorded, 10, SMALL, pane="overview") as (app, pilot):
        for number in range(10, 100):
            watched[number] = _cases(app)
            await _go(app, pilot, 1)
    states = {state for said in watched.values() for _, state, *_ in said}
    assert states >= {"now", "easing", "over"}
    async with replaying(recorded, 60, SMALL, pane="overview") as (app, pilot):
        for number in jumps:
            app.time.go(number)
            await _settle(app, pilot)
            assert _cases(app) == watched[number], number
        await _go(app, pilot, 30)
        assert _cases(app) == watched[jumps[-1] + 30], "played on from there"


@pytest.mark.usefixtures("one_trouble")
async def test_a_jump_says_at_once_what_is_wrong_there(recorded: Path) -> None:
    """Since when is said once it is read."""
    async with replaying(recorded, 20, pane="overview") as (app, _):
        app.time.go(50)
        assert [f.id for f in app.session.view.findings()] == [LOSS, FAILING]
