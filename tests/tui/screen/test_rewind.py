"""Freeze, and go back: every pane as it was, and nothing lost meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from probes.recording.bookmarks import Bookmark, Moment
from tests.support.one_trouble import one_trouble
from tests.support.stage import everything, playing, settle, step, text
from tui.panes.syscalls import PANE as SYSCALLS
from tui.session.past_view import beginnings, past_view
from tui.session.view import clock
from tui.widgets.time_bar import time_bar

__all__ = ["one_trouble"]
CALM_FIRST = {"ticks": 49}
"""The demo from its second second on: calm, then the incident."""


async def _press(pilot: Any, *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
    await settle(pilot)


async def test_freeze_rewind_step_to_a_mark_return_to_live() -> None:
    """The story: what began when, and back in the present nothing is missing."""
    async with playing(size=(80, 24), pane="overview", **CALM_FIRST) as (app, pilot):
        await _press(pilot, "space")
        assert "FROZEN at 00:00:50, 0:00 ago" in text(app)
        await _press(pilot, "left_square_bracket", "left_square_bracket")
        assert "FROZEN at 00:00:48, 0:02 ago" in text(app)
        await _press(pilot, "left_curly_bracket", "left_curly_bracket")
        shown = text(app)
        assert "packets dropped" in shown.splitlines()[2]
        assert shown.splitlines()[3].count("#") == 1
        await step(pilot, 7)
        await _press(pilot, "right_curly_bracket")
        assert "connects failed" in text(app).splitlines()[2]
        assert "0:29 ago" in text(app), "time goes on, this moment does not"
        await _press(pilot, "escape")
        assert "FROZEN" not in text(app)
        assert app.session.view is app.session.live
        assert app.session.live.history.ticks["tcp-connect"] == 56
        tape = app.session.collector.tape
        assert len(tape) == 56 - 1, "the moment that is being read is not on it yet"


async def test_seconds_back_are_counted_from_now_while_the_screen_is_live() -> None:
    """Also in what the prompt says; the moment that is being read is not on the tape yet."""
    async with playing(size=(100, 30), ticks=45) as (app, pilot):
        await _press(pilot, "J", *"-10")
        assert "the moment of 00:00:39" in text(app)
        await _press(pilot, "enter")
        assert "FROZEN at 00:00:40, 0:10 ago" in text(app)


@pytest.mark.parametrize("pane", ["overview", "interfaces", "syscalls", "connects", "rtt", "hooks"])
async def test_the_past_is_what_the_screen_was(pane: str) -> None:
    """At every pane: tables, graphs, words and logs of a moment, to the last digit."""
    async with playing(size=(160, 50), pane=pane, until=40, ticks=39) as (app, pilot):
        then = everything(app)
        await step(pilot, 8)
        assert everything(app) != then
        await _press(pilot, *["left_square_bracket"] * 8)
        assert "FROZEN at 00:00:40" in text(app)
        now = str(everything(app)).replace("its processes were not followed then", "attaching...")
        assert now == str(then)


async def test_details_filters_and_sorting_work_in_the_past() -> None:
    """As live; and looking does not attach anything."""
    async with playing(size=(100, 40), pane="connects", until=60, ticks=59) as (app, pilot):
        await _press(pilot, *["left_square_bracket"] * 20)
        await _press(pilot, "slash", *"billing", "enter", "I")
        assert [r.name for r in app.table.rows] == ["10.0.0.5:5432"]
        await _press(pilot, "enter")
        assert "refused" in text(app)
        assert "timed out" not in text(app).replace("Timed out", "")
        await _press(pilot, "escape", "escape", "3", "enter")
        assert "its processes were not followed then" in text(app)
        assert not any(s.id.hook == "syscall-processes" for s in app.session.source.statuses())
        await _press(pilot, "escape", "escape")
        assert not app.session.frozen


async def test_stepping_stops_at_both_ends() -> None:
    """There is nothing before the first moment and nothing after the latest."""
    async with playing(size=(80, 24), ticks=5) as (app, pilot):
        await _press(pilot, *["left_square_bracket"] * 9)
        assert "FROZEN at 00:00:46" in text(app)
        await _press(pilot, *["right_square_bracket"] * 9)
        assert "FROZEN at 00:00:50" in text(app)
        await _press(pilot, "left_parenthesis")
        assert "FROZEN at 00:00:46" in text(app)
        await _press(pilot, "left_parenthesis", "left_curly_bracket")
        assert any("no mark before" in n.message for n in app._notifications)
        await _press(pilot, "space")
        assert not app.session.frozen


async def test_rewinding_with_nothing_read_yet_does_nothing() -> None:
    """No moment, no crash."""
    from probes.sources.demo.source import Demo

    class Empty(Demo):
        async def start(self) -> None:
            self._statuses = {}

    async with playing(size=(80, 24), source=Empty, ticks=1) as (app, pilot):
        await _press(pilot, "left_square_bracket", "left_curly_bracket", "left_parenthesis")
        assert app.crashed is None


async def test_a_moment_that_the_tape_has_forgotten_stays_on_the_screen() -> None:
    """A screen that is frozen for long: the bar says so, and keys begin with the oldest moment."""
    async with playing(size=(100, 30)) as (app, pilot):
        tape: Any = app.session.collector.tape
        tape._seconds = 10
        await _press(pilot, "space")
        for _ in range(2):
            await step(pilot, 46)
            assert app.crashed is None
        assert tape.first > 45
        assert "FROZEN at 00:00:50, 1:32 ago" in text(app)
        assert "<" in text(app).splitlines()[3]
        for place, pane in enumerate(app.place.panes, 1):
            if pane.while_shown is None:  # else its numbers begin now
                await _press(pilot, str(place), "enter")
        await _press(pilot, "J", "plus", "0")
        assert f"the moment of {clock(tape.wall(tape.first))}" in text(app)
        await _press(pilot, "escape", "left_square_bracket")
        assert f"FROZEN at {clock(tape.wall(tape.first))}" in text(app)
        assert "#" in text(app).splitlines()[3]


async def test_a_screen_of_a_few_lines_has_no_time_bar_but_says_that_it_is_frozen() -> None:
    """From 60x20 upwards the bar is there."""
    async with playing(size=(60, 20)) as (app, pilot):
        await _press(pilot, "left_square_bracket")
        assert "#" in text(app).splitlines()[3]
    async with playing(size=(40, 10)) as (app, pilot):
        await _press(pilot, "left_square_bracket")
        assert "FROZEN" in text(app)
        assert "---" not in text(app)


async def test_a_past_view_is_made_of_the_tape_alone() -> None:
    """The live view is not touched by it."""
    async with playing(size=(80, 24), ticks=20) as (app, _):
        app.session.collector.close_tick()
        tape = app.session.collector.tape
        before = dict(app.session.live.snapshots)
        view = past_view(app.session.live, tape, tape.first + 10)
        assert app.session.live.snapshots == before
        assert view.past
        assert len(SYSCALLS.records(view)) == len(SYSCALLS.records(app.session.live))
        assert view.wall == tape.moment(tape.first + 10).wall


def _moments(drops: dict[int, int], count: int = 60) -> list[Moment]:
    return [Moment(float(n), drops.get(n, 0)) for n in range(count)]


def test_the_time_bar_shows_every_mark_and_where_one_is() -> None:
    """Also where there are more moments than cells, or fewer; in exactly that width."""
    marks = [Bookmark(7, "drops", ""), Bookmark(30, "failures", ""), Bookmark(45, "event", "")]
    for count, width in ((60, 80), (60, 140), (900, 80), (2, 80), (60, 20)):
        bar = time_bar(_moments({20: 50}, count), marks, 0, count - 1, width)
        shown = "".join(t for t, _ in bar.spans)
        if width >= 80:
            assert len(shown) == width
        assert shown.count("#") == 1
        if (count, width) == (60, 80):
            assert [shown.count(c) for c in "DFA="] == [1, 1, 1, 1]
        if (count, width) == (900, 80):
            assert "D" in shown


def test_the_bar_of_a_tape_that_began_later_starts_there() -> None:
    """Moments keep their numbers when older ones fall off."""
    bar = time_bar(_moments({}), [Bookmark(1000, "drops", "")], 1000, 1059, 80)
    shown = "".join(t for t, _ in bar.spans)
    assert shown.index("D") < shown.index("#")


@pytest.mark.parametrize("at", [999, 900, -5])
def test_a_moment_before_the_bar_is_at_its_beginning(at: int) -> None:
    """It is not drawn somewhere else, as if it were there."""
    shown = "".join(t for t, _ in time_bar(_moments({}), [], 1000, at, 80).spans)
    assert "#" not in shown
    assert shown.strip().split()[1].startswith("<-")


def test_what_grows_over_some_moments_begins_once() -> None:
    """Events are each worth a mark."""
    marks = [Bookmark(n, "drops", "") for n in (5, 6, 8, 30)] + [
        Bookmark(n, "event", "") for n in (5, 6)
    ]
    assert [m.number for m in beginnings(marks)] == [5, 30, 5, 6]


@pytest.mark.usefixtures("one_trouble")
async def test_the_past_has_the_cases_of_then() -> None:
    """Also those of a moment whose case has long been over."""
    async with playing(size=(120, 40), pane="overview", until=20, ticks=19) as (app, pilot):
        seen = {}
        for _ in range(75):
            view = app.session.live
            seen[view.wall] = [(f.id, f.state, f.since, f.until) for f in view.findings()]
            await step(pilot)
        collector = app.session.collector
        for number in range(collector.tape.first + 20, collector.tape.end):
            past = past_view(app.session.live, collector.tape, number)
            then = [(f.id, f.state, f.since, f.until) for f in past.findings()]
            assert then == seen.get(past.wall, then)
        assert [f.state for f in app.session.live.findings()] == ["over", "over"]


@pytest.mark.usefixtures("one_trouble")
async def test_what_is_frozen_stays_as_it_was() -> None:
    """While the case eases and is over behind it."""
    async with playing(size=(120, 40), pane="overview", **CALM_FIRST) as (app, pilot):
        await _press(pilot, "space")
        before = [(f.id, f.state, f.since, f.now) for f in app.session.view.findings()]
        await step(pilot, 40)
        assert [(f.id, f.state, f.since, f.now) for f in app.session.view.findings()] == before
        assert [f.state for f in app.session.live.findings()] == ["over", "over"]
