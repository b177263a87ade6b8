"""A pane whose rows do not tell the scope says so: nobody takes them for its own."""

from __future__ import annotations

import pytest

from probes.sources.demo.source import Demo
from tui.output.scope import EVERYTHING, Scope
from tui.screen.app import Monitor


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("4", " filter pid=811"),
        ("2", " scope pid=811  does not apply to this pane: all rows are shown"),
    ],
    ids=["told", "not told"],
)
async def test_each_pane_is_restricted_or_says_that_it_is_not(key: str, said: str) -> None:
    app = Monitor(Demo(), scope=Scope(pid=811))
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press(key)
        await pilot.pause()
        (line,) = app.renderer._lines_above()
        assert "".join(text for text, _ in line.spans).startswith(said)
        app.exit()


async def test_without_a_scope_nothing_is_said() -> None:
    app = Monitor(Demo(), scope=EVERYTHING)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("2")
        await pilot.pause()
        assert app.renderer._lines_above() == []
        app.exit()
