"""The demo's tour: chapters lead where they say, a key holds it, and it goes on by the clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from probes.sources.demo.source import START, Demo
from tests.support.stage import playing, settle, text
from tui.screen.actions import tour as actions
from tui.screen.app import Monitor
from tui.screen.keymap import KEYS
from tui.screen.tour import BEGIN, CHAPTERS, SPEEDS, Tour

FAST = 0.01
PLACES = {
    "The overview": ("overview", "pane", False),
    "Something is wrong": ("overview", "pane", False),
    "Which interface": ("interfaces", "pane", False),
    "The path of the packets": ("interfaces", "detail", False),
    "Who sends": ("sources", "pane", False),
    "Which connects fail": ("connects", "pane", False),
    "What is slow": ("rtt", "detail", False),
    "Back in time": ("overview", "pane", True),
    "Now you": ("overview", "pane", False),
    "The end": ("overview", "pane", False),
}
"""Where each chapter leads: pane, mode, and whether the screen is frozen."""


@asynccontextmanager
async def _tour(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int] = (120, 40), *, by_clock: bool = False
) -> AsyncIterator[tuple[Monitor, Any]]:
    """The tour in fast motion. by_clock: it goes on by itself."""
    monkeypatch.setattr(actions, "_LOOK", FAST)
    monkeypatch.setattr(actions, "_PRESS", FAST)
    if not by_clock:
        monkeypatch.setattr(actions.TourActions, "_is_time", lambda tour: tour._place < 0)
    app = Monitor(_demo(), tour=Tour(START + BEGIN))
    async with app.run_test(size=size) as pilot:
        await _until(lambda: _shown(app).startswith(" Tour 1/"))
        yield app, pilot
        app.exit()


def _demo() -> Demo:
    return Demo(history=BEGIN, pace=lambda seconds: asyncio.sleep(min(seconds, FAST)))


async def _until(holds: Any) -> None:
    for _ in range(2000):
        if holds():
            return
        await asyncio.sleep(FAST)
    raise AssertionError("it did not come")


def _shown(app: Monitor) -> str:
    return "\n".join("".join(t for t, _ in row.spans) for row in app.renderer._lines_above())


def _place(app: Monitor) -> tuple[str, str, bool]:
    return app.place.pane.name, app.place.mode, app.session.frozen


async def test_each_chapter_leads_where_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    async with _tour(monkeypatch) as (app, pilot):
        assert [chapter.title for chapter in CHAPTERS] == list(PLACES)
        for number, chapter in enumerate(CHAPTERS, 1):
            await _until(lambda chapter=chapter: _place(app) == PLACES[chapter.title])
            assert f"Tour {number}/{len(CHAPTERS)} {chapter.title}" in _shown(app)
            assert chapter.says.split()[0] in _shown(app)
            if number < len(CHAPTERS):
                await pilot.press("n")
        assert "sudo ebpftop findings" in _shown(app)
        for key, title in (("N", "Now you"), ("p", "Back in time")):
            await pilot.press(key)
            await _until(lambda title=title: _place(app) == PLACES[title])
            assert f" {title} " in _shown(app)
            assert "held, n goes on" in _shown(app)


async def test_chapters_are_marks_of_the_time_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """And { goes to them, as to others."""
    async with _tour(monkeypatch, by_clock=True) as (app, pilot):
        await _until(lambda: "Tour 3/" in _shown(app))
        await pilot.press("3", "space")
        bar = app.renderer._lines_above()[-1].spans
        said = "".join(text for text, role in bar if role == "accent")
        assert said.replace("A", "")[:3] == "123"
        assert "1-9 chapters" in bar[-1][0]
        seen = []
        for _ in app.time.marks():
            await pilot.press("{")
            seen.append(app.session.view.wall)
        assert START + BEGIN + CHAPTERS[1].at in seen
        texts = [mark.text for mark in app.time.marks()]
        assert "chapter 2, Something is wrong" in texts


async def test_its_speed_is_that_of_the_demo_and_does_not_hold_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with _tour(monkeypatch) as (app, pilot):
        tour = app.tour
        assert tour is not None
        for speed in SPEEDS[2:]:
            await pilot.press("+")
            assert tour.speed == speed
            assert f"n next  {speed:g}x" in _shown(app)
        await pilot.press("+", *"-" * 5)
        assert tour.speed == SPEEDS[0]
        assert app.session.source.interval == 1.0


async def test_p_is_a_preset_s_key_without_a_tour(monkeypatch: pytest.MonkeyPatch) -> None:
    async with playing() as (app, pilot):
        await pilot.press("p")
        assert app.place.mode == "menu"
    async with _tour(monkeypatch) as (app, pilot):
        await pilot.press("p")
        assert app.place.mode == "pane"
        assert any(c.title.startswith("Preset: ") for c in app.commands())


async def test_it_begins_with_what_was_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is usual is known at its first moment, and every hook is read at the same ones."""
    async with _tour(monkeypatch) as (app, _):
        live = app.session.live
        await _until(lambda: live.wall - START >= BEGIN)
        assert not live.learning({"interfaces", "drops", "tcp-connect"})
        assert len(set(live.history.ticks.values())) <= 2


async def test_it_goes_on_by_the_demo_s_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    async with _tour(monkeypatch, by_clock=True) as (app, _):
        await _until(lambda: "Tour 3/" in _shown(app))
        assert app.session.live.wall % 3600 >= BEGIN + CHAPTERS[2].at


async def test_a_rule_is_answered_with_what_it_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The script's, or that of a presenter: the share that is dropped, before it and now."""
    async with _tour(monkeypatch, by_clock=True) as (app, _):
        assert "before the rule" not in _shown(app)
        await _until(lambda: app.session.live.dropping and "before the rule" in _shown(app))
        await _until(lambda: not app.session.live.dropping)
        assert "before the rule" not in _shown(app)


async def test_a_key_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with _tour(monkeypatch, by_clock=True) as (app, pilot):
        await pilot.press("3")
        held = _shown(app)
        assert "held, n goes on" in held
        wall = app.session.live.wall
        await _until(lambda: app.session.live.wall > wall + CHAPTERS[2].at)
        assert "Tour 1/" in _shown(app)
        assert app.place.pane.name == "syscalls"


@pytest.mark.parametrize(("height", "lines"), [(10, 0), (14, 1), (24, 3)])
async def test_a_small_screen_keeps_its_table(
    monkeypatch: pytest.MonkeyPatch, height: int, lines: int
) -> None:
    monkeypatch.setattr(actions, "_LOOK", FAST)
    app = Monitor(_demo(), tour=Tour(START + BEGIN))
    async with app.run_test(size=(80, height)) as pilot:
        await asyncio.sleep(20 * FAST)
        await pilot.pause()
        await _until(lambda: len(app.renderer._lines_above()) == lines)


async def test_without_a_tour_its_keys_say_so() -> None:
    async with playing() as (app, pilot):
        await pilot.press("n")
        await settle(pilot)
        assert "there is no tour: ebpftop demo --tour" in text(app)


def test_captions_are_short_and_their_keys_are_keys() -> None:
    ids = {key.id for key in KEYS}
    for chapter in CHAPTERS:
        assert len(chapter.says) < 200
        assert chapter.says.endswith(".")
        assert {word for word in chapter.presses if not word.startswith("=")} <= ids
    assert [c.at for c in CHAPTERS] == sorted(c.at for c in CHAPTERS)
