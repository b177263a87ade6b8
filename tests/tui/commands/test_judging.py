"""What commands judge by: each reading, and the settings as they are at that moment."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from probes.analysis.cases.ordinary import entry_of
from probes.sources.demo.source import Demo
from probes.sources.live.source import Live
from tui.commands._judging import LiveJudgement
from tui.config import settings
from tui.config.settings import forget_ordinary, save_ordinary
from tui.output.findings import FoundWrong


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


async def test_what_is_ordinary_may_be_said_while_it_is_watched(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And taken back: by the key on the screen of the same user, for an exporter that runs on."""
    demo = Demo(begin=40)
    await demo.start()
    judged, second = LiveJudgement(cast(Live, demo)), 40

    def more() -> FoundWrong:
        nonlocal second
        second += 1
        return judged.take(demo.at(second))

    for _ in range(9):
        wrong = more()
    first = next(f for f in wrong.findings if f.alarming)
    save_ordinary(settings.path(), entry_of(first.case), 0.0)
    assert [f.ordinary for f in more().findings if f.id == first.id] == [True]
    forget_ordinary(settings.path(), first.id)
    assert [f.alarming for f in more().findings if f.id == first.id] == [True]
    assert capsys.readouterr().err == ""
    settings.path().write_text('[ordinary."a"]\nwho = 3\n')
    more()
    more()
    said = capsys.readouterr().err
    assert said.count("line 2: 'ordinary.a.who' must be a name or a list of names, not 3") == 1
