"""The strip of vital signs: there from the first paint, at one place, red where a case is."""

from __future__ import annotations

from typing import Any

import pytest

from probes.analysis.vitals import vitals
from tests.support.stage import playing, settle, step, text

SINCE_CALM: dict[str, Any] = {"pane": "overview", "ticks": 49}
WIDE = ("Packets in", "Dropped", "Connects", "Failed", "Retransmits", "Failing calls")
BRIEF = ("in", "dropped", "conn fail", "retrans")


def _strip(app: Any) -> list[str]:
    block = app.parts.vitals
    return text(app).splitlines()[block.region.y : block.region.bottom]


async def test_all_of_them_are_there_on_a_wide_screen() -> None:
    async with playing(**SINCE_CALM) as (app, _):
        first, second = _strip(app)
        assert all(name in first + second for name in WIDE)
        assert "24.9k/s" in first
        assert second.split()[:3] == ["!Dropped", "32%", "7.9k/s"]


@pytest.mark.parametrize(("width", "names"), [(80, BRIEF), (60, ("dropped", "conn fail"))])
async def test_a_small_screen_has_what_may_be_wrong(width: int, names: tuple[str, ...]) -> None:
    async with playing(size=(width, 24), **SINCE_CALM) as (app, _):
        (only,) = _strip(app)
        assert all(name in only for name in names)
        assert "!dropped 32%" in only


async def test_it_is_there_before_anything_is_known_and_does_not_move() -> None:
    """A dash is no 0; and each name stays where it is, whatever the numbers are."""
    async with playing(until=21, ticks=0, pane="overview") as (app, pilot):
        before = _strip(app)
        assert before[0].count(" - ") == 3
        await step(pilot, 5)
        after = _strip(app)
        for name in WIDE:
            assert [line.find(name) for line in before] == [line.find(name) for line in after]
        assert " - " not in "".join(after)


async def test_the_help_says_what_each_counts() -> None:
    async with playing(size=(100, 140), **SINCE_CALM) as (app, pilot):
        titles = [vital.title for vital in vitals(app.session.view, (), 120.0, 2)]
        await pilot.press("question_mark")
        await settle(pilot)
        shown = text(app)
        below = shown[shown.index("Vital signs") :]
        assert [title for title in titles if f"   {title} " in below] == titles


async def test_nothing_is_marked_where_no_case_is() -> None:
    async with playing(until=20, ticks=19, pane="overview") as (app, _):
        assert not {"!", "~"} & set("".join(_strip(app)))


async def test_the_past_has_the_numbers_of_then() -> None:
    """They are made of the tape and the history, not of this machine."""
    async with playing(**SINCE_CALM) as (app, pilot):
        await pilot.press(*["left_square_bracket"] * 30)
        await settle(pilot)
        first, second = _strip(app)
        assert "14." in first
        assert second.startswith("  Dropped")


async def test_other_panes_have_it_at_the_same_place_where_there_is_room() -> None:
    async with playing(**SINCE_CALM) as (app, pilot):
        before = _strip(app)
        for key in "2345678":
            await pilot.press(key)
            await settle(pilot)
            assert _strip(app)[1] == before[1]
    async with playing(size=(120, 30), **SINCE_CALM) as (app, pilot):
        await pilot.press("5")
        await settle(pilot)
        assert not app.parts.vitals.display
