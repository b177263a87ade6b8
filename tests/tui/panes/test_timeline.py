"""The timeline has every case at every size; the graph is of the selected row."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.stage import playing, settle, text
from tui.panes.overview.timeline import timeline

SINCE_CALM: dict[str, Any] = {"pane": "overview", "ticks": 49}
SIZES = ((60, 20), (80, 24), (120, 40), (200, 60))


def _timeline(app: Any) -> str:
    return next(line for line in text(app).splitlines() if " now  D drops" in line)


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
async def test_every_case_has_a_letter_and_the_legend_its_meaning(size: tuple[int, int]) -> None:
    """Also those that the table has no room for; two that began together stand side by side."""
    async with playing(size=size, **SINCE_CALM) as (app, _):
        cells, _, legend = _timeline(app).partition(" now ")
        letters = [c for c in cells.removeprefix(" -2m ") if c.isupper()]
        assert "".join(letters) == "DDFFFRS", "in the order in which they began"
        assert legend.split() == ["D", "drops", "F", "fails", "R", "RTT", "S", "slow"]


async def test_it_is_blank_before_the_watch_and_goes_on_while_an_alarm_does() -> None:
    async with playing(**SINCE_CALM) as (app, _):
        cells = _timeline(app).partition(" now ")[0].removeprefix(" -2m ")
        assert cells.startswith("   ")
        assert cells.rstrip().endswith("=====")
        assert cells.strip().startswith("-----"), "calm until it began"


async def test_what_began_long_ago_widens_it() -> None:
    async with playing(**SINCE_CALM) as (app, _):
        view = app.session.view.still()
        view.wall += 200
        assert "".join(t for t, _ in timeline(view, 100).spans).startswith(" -5m ")


async def test_calm_has_no_letter_and_no_legend() -> None:
    async with playing(until=20, ticks=19, pane="overview") as (app, _):
        shown = "".join(t for t, _ in timeline(app.session.view, 80).spans)
        assert not [c for c in shown if c.isupper()]
        assert shown.rstrip().endswith("now")


async def test_the_graph_is_that_of_the_selected_row() -> None:
    """Beside it, on a wide screen, who takes part and what to do next."""
    async with playing(**SINCE_CALM) as (app, pilot):
        assert "─ XDP xdp_filter#412 drops" in text(app)
        assert "next     bpftool prog show id 412" in text(app)
        await pilot.press("down", "down")
        await settle(pilot)
        assert "─ 203.0.113.77:873 slow" in text(app)
        assert "who      rsync[30400]" in text(app)


async def test_a_row_of_two_lines_is_whole_and_the_others_are_counted() -> None:
    async with playing(size=(80, 24), **SINCE_CALM) as (app, pilot):
        assert "4 more: 1 wrong, 2 unusual" in text(app)
        assert "fsync is slow" not in text(app).split(" -2m ")[0]
        await pilot.press("end")
        await settle(pilot)
        assert "4 more: 4 wrong" in text(app)
    async with playing(until=20, ticks=19, pane="overview", size=(80, 16)) as (app, _):
        assert "Busiest and slowest" in text(app)
        assert re.search(r"[1-4] more, calm", text(app))
