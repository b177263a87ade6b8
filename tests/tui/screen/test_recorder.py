"""Keeping what the screen sees: the last minutes, and what comes from now on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from probes.hooks import catalogue
from probes.recording.reader import Recording
from tests.support.stage import playing, settle, step, text


@pytest.fixture(autouse=True)
def _in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


async def _press(pilot: Any, *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
    await settle(pilot)


async def _name(app: Any, pilot: Any, name: str) -> None:
    """Answer the prompt that stands there."""
    app.prompt.question.answer = name
    await _press(pilot, "enter")


def _said(app: Any) -> str:
    return [n.message for n in app._notifications][-1]


async def test_the_last_minutes_are_saved_as_they_were(tmp_path: Path) -> None:
    async with playing() as (app, pilot):
        await _press(pilot, "W")
        offered = app.prompt.question.answer
        assert offered.startswith("ebpftop-web1-")
        assert offered.endswith(".rec")
        assert str(tmp_path / offered) in text(app)
        await _name(app, pilot, "saved.rec")
        assert _said(app).startswith("saved.rec: 30 moments, ")
        tape = app.session.collector.tape
        played = Recording(tmp_path / "saved.rec", catalogue())
        assert played.host.demo, "a demo stays one"
        assert [played.at(n) for n in range(30)] == [tape.at(n) for n in range(30)]
        assert not played.note


async def test_what_comes_is_recorded_until_somebody_ends_it(tmp_path: Path) -> None:
    async with playing() as (app, pilot):
        await _press(pilot, "w")
        await _name(app, pilot, "on.rec")
        assert "recording to on.rec; w stops it" in _said(app)
        await step(pilot, 5)
        assert "REC 5" in text(app)
        await _press(pilot, "w")
        assert _said(app).startswith("on.rec: 5 moments, ")
        assert "REC" not in text(app)
        await step(pilot, 2)
        played = Recording(tmp_path / "on.rec", catalogue())
        assert played.end == 5
        assert played.at(4) == app.session.collector.tape.at(played_from(app) + 4)


def played_from(app: Any) -> int:
    """The tape's number of the recording's first moment: the key frame that it began with."""
    return int(app.session.collector.tape._keys[-1])


async def test_leaving_ends_a_recording_properly(tmp_path: Path) -> None:
    async with playing() as (app, pilot):
        await _press(pilot, "w")
        await _name(app, pilot, "on.rec")
        await step(pilot, 3)
        await pilot.press("q")
    played = Recording(tmp_path / "on.rec", catalogue())
    assert played.end == 3
    assert not played.note


async def test_no_file_is_lost_and_what_is_wrong_is_said(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    async with playing() as (app, pilot):
        for key, name, said in (
            ("W", "mine", "mine is there already"),
            ("w", "mine", "mine is there already"),
            ("w", "none/a", "none/a cannot be written: No such file or directory"),
        ):
            await _press(pilot, key)
            app.prompt.question.note = None  # it would not take the first two: they are tried
            await _name(app, pilot, name)
            assert _said(app) == said
            assert app.session.recorder is None
        await _press(pilot, "W", "escape")
        assert app.prompt.question is None
    assert (tmp_path / "mine").read_text() == "kept"
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]
