"""The status line and the tabs: what matters first, and no name that moves."""

from __future__ import annotations

import re
from typing import Any

import pytest

from probes.model import HookId, State, Status
from probes.source import Host
from tests.support.stage import playing, settle, text
from tui.widgets.status_line import StatusFigures, status_line

HOST = Host("web1", "6.12.48")
PASSIVE = Status(HookId("interfaces"), State.PASSIVE, "netlink")


def _line(width: int, **known: Any) -> str:
    figures = {"statuses": (PASSIVE,), "kernel_percent": 0.7, "own_bytes": 64 << 20, "wall": 50.0}
    shown = status_line(StatusFigures(HOST, **{**figures, **known}), width)
    return "".join(text for text, _ in shown.spans)


def test_it_says_since_when_it_watches_and_how_old_what_is_usual_is() -> None:
    assert "since 00:00:10  usual known in 5 s" in _line(120, watched=40.0, learning=5.0)
    assert "since 00:00:10  usual over 40 s" in _line(120, watched=40.0)
    assert "usual over 15 min" in _line(120, watched=9000.0)
    assert "since" not in _line(120), "nothing was read yet"
    assert "6.12" not in _line(200), "the kernel's version is no news"


def test_it_is_never_too_long_and_keeps_what_is_wrong() -> None:
    failed = Status(HookId("drops"), State.FAILED)
    for width in range(30, 130):
        said = _line(width, statuses=(PASSIVE, failed), watched=40.0, notes=("REC 5",))
        assert len(said) == width
        assert "web1" in said
        assert width < 55 or ("REC 5" in said and "!1 failed" in said and "% CPU" in said)


def _places(app: Any) -> list[int]:
    tabs = text(app).splitlines()[1]
    titles = "Overv", "I", "", "Con", "RTT", "Hook", "Pro", "More"
    return [re.search(f"{n} ?{title}", tabs).start() for n, title in enumerate(titles, 1)]  # type: ignore[union-attr]


@pytest.mark.parametrize("width", [60, 80, 120])
async def test_no_tab_moves_whichever_is_chosen_and_marked(width: int) -> None:
    async with playing(size=(width, 24), pane="overview", until=20, ticks=19) as (app, pilot):
        calm = _places(app)
        for key in "2345678":
            await pilot.press(key)
            await settle(pilot)
            assert _places(app) == calm
    async with playing(size=(width, 24), pane="overview", ticks=49) as (app, _):
        assert text(app).splitlines()[1].count("!") == 4
        assert _places(app) == calm


async def test_a_click_on_a_tab_goes_there_at_each_of_its_cells() -> None:
    async with playing(size=(80, 24), pane="overview") as (app, pilot):
        for name, title in (("rtt", "5 RTT"), ("hooks", "6 Hooks"), ("overview", "1 Overview")):
            first = text(app).splitlines()[1].index(title)
            for x in (first, first + len(title) - 1):
                await pilot.click("#tabs", offset=(x, 0))
                await settle(pilot)
                assert app.place.pane.name == name


@pytest.mark.parametrize("width", [36, 60, 80, 120])
async def test_a_filter_in_force_is_seen_with_its_key_and_what_it_keeps(width: int) -> None:
    """At every width, until it is cleared."""
    async with playing(size=(width, 24), pane="connects") as (app, pilot):
        rows = len(app.table.rows)
        await pilot.press("slash", *"nginx", "enter")
        await settle(pilot)
        kept = len(app.table.rows)
        assert f" filter nginx   {kept} of {rows}   Esc: clear" in text(app)
        await pilot.press("escape")
        await settle(pilot)
        assert not re.search(r"filter nginx", text(app))
