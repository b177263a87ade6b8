"""Cases on the overview: one row for each, with its time, its place, and what leads from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.one_trouble import FAILING, LOSS, one_trouble
from tests.support.stage import playing, settle, step, text
from tui.config import settings

__all__ = ["one_trouble"]
pytestmark = pytest.mark.usefixtures("one_trouble")
SINCE_CALM: dict[str, Any] = {"pane": "overview", "ticks": 49, "size": (120, 40)}


def _row(app: Any, key: str) -> Any:
    return next((r for r in app.table.rows if r.key == key), None)


async def test_a_case_is_a_row_with_its_share_its_beginning_and_who_takes_part() -> None:
    async with playing(**SINCE_CALM) as (app, _):
        first = app.table.rows[0]
        assert (first.key, first.mark, first.text("share_text")) == (LOSS, "bad", "38%")
        assert first.text("since_text") == "00:00:24  26 s ago"
        assert first.text("why") == "6.6k/s by XDP xdp_filter#412", "who is named once"
        second = app.table.rows[1]
        assert (second.key, second.mark) == (FAILING, "warn")
        assert second.text("why") == (
            "checkout[2311] in shop-checkout, billing[2390] in shop-billing"
        )
        verdict = text(app).splitlines()[2].strip()
        assert verdict.startswith("! eth1 drops packets, 38% of packets received, ")
        assert verdict.endswith("since 00:00:24, 26 s ago; 1 more unusual")


async def test_what_was_so_at_the_first_reading_is_older_than_the_watch() -> None:
    async with playing(until=40, ticks=8, pane="overview") as (app, _):
        assert _row(app, LOSS).text("since_text") == "before 00:00:33"
        assert _row(app, LOSS).text("since_brief") == "before 00:00:33"


async def test_it_eases_is_over_and_leaves_the_verdict() -> None:
    """A number and the word beside it are of the same moment."""
    async with playing(**{**SINCE_CALM, "until": 70, "ticks": 69}) as (app, pilot):
        while _row(app, LOSS).mark == "bad":
            await step(pilot)
        easing = _row(app, LOSS)
        assert easing.mark == "warn"
        assert easing.text("share_text") == "", "the share was another moment's"
        assert easing.text("since_text").startswith("was ")
        await step(pilot, 12)
        over = _row(app, LOSS)
        assert (over.mark, over.text("now_text"), over.text("role")) == ("", "", "muted")
        assert over.text("since_text").startswith("00:00:24-00:01:1")
        assert over.text("why").startswith("at most ")
        assert "eth1 drops packets" not in text(app).splitlines()[2]
        shown = text(app)
        assert "- eth1 drops packets: over after " in shown
        assert "! eth1 drops packets" in shown[shown.index(" now ") :], "it began"


async def test_enter_leads_to_its_pane_and_row() -> None:
    async with playing(**SINCE_CALM) as (app, pilot):
        await pilot.press("enter")
        await settle(pilot)
        assert (app.place.pane.name, app.table.record.name) == ("interfaces", "eth1")
        await pilot.press("escape", "down", "enter")
        await settle(pilot)
        assert app.place.pane.name == "connects"
        assert app.table.record.name.endswith("10.0.0.5:5432")


async def test_the_cursor_stays_where_a_person_put_it() -> None:
    """It follows what is gravest until the first key."""
    async with playing(**{**SINCE_CALM, "until": 20, "ticks": 19}) as (app, pilot):
        await pilot.press("end")
        mine = app.table.record.key
        await step(pilot, 20)
        assert app.table.rows[0].key == LOSS
        assert app.table.record.key == mine
    async with playing(**{**SINCE_CALM, "until": 20, "ticks": 19}) as (app, pilot):
        await step(pilot, 20)
        assert app.table.record.key == LOSS


async def test_o_says_that_a_case_is_ordinary_and_takes_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves rows, marks and verdict, is counted, and written to the settings."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    async with playing(**SINCE_CALM) as (app, pilot):
        await pilot.press("o", "1")
        await settle(pilot)
        assert _row(app, LOSS) is None
        assert text(app).splitlines()[2].rstrip().endswith("; 1 ordinary")
        (entry,) = settings.load(settings.path()).ordinary
        assert (entry.what, entry.who) == (LOSS, ("xdp_filter",))
        assert entry.until is not None
        await pilot.press("home", "o", "6")
        await settle(pilot)
        assert text(app).splitlines()[2].rstrip().endswith("; 2 ordinary")
        assert [e.who for e in settings.load(settings.path()).ordinary] == [("xdp_filter",), ()]
        await pilot.press("o")
        told = [r.text("help") for r in app.table.rows if r.text("title") == "take back"]
        assert told[0].startswith(f"{LOSS}, by xdp_filter: ordinary until ")
        assert told[1] == f"{FAILING}, by anyone: ordinary for good"
        await pilot.press(str(1 + [r.text("title") for r in app.table.rows].index("take back")))
        await settle(pilot)
        assert _row(app, LOSS).mark == "bad"
        assert [e.what for e in settings.load(settings.path()).ordinary] == [FAILING]
