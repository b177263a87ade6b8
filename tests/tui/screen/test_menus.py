"""Menus: however one is left, nothing of it stays; a number means what is beside it."""

from __future__ import annotations

import pytest

from tests.support.stage import playing, settle, text
from tui.widgets.prompt import Question


@pytest.mark.parametrize("keys", [("escape",), ("question_mark",), ("f1", "escape")])
async def test_a_theme_that_was_not_taken_is_taken_off(keys: tuple[str, ...]) -> None:
    """A preview ends with the menu, whichever key ends that."""
    async with playing() as (app, pilot):
        first = app.look.name
        await pilot.press("T", "end")
        assert app.look.name != first
        await pilot.press(*keys)
        assert app.look.name == first


async def test_a_click_on_a_tab_leaves_a_menu_and_takes_none_of_its_choices() -> None:
    async with playing(size=(120, 40)) as (app, pilot):
        first = app.look.name
        await pilot.press("T", "end")
        await pilot.click("#tabs", offset=(text(app).splitlines()[1].index("3 "), 0))
        await settle(pilot)
        assert app.look.name == first
        assert (app.place.mode, app.place.pane) == ("pane", app.place.panes[2])


async def test_a_click_in_the_palette_ends_its_prompt() -> None:
    """What is typed next is keys again."""
    async with playing(size=(120, 40)) as (app, pilot):
        await pilot.press("colon", *"zoom")
        await pilot.click("#menu", offset=(10, 1))
        await pilot.click("#menu", offset=(10, 1))
        await settle(pilot)
        assert app.place.zoomed
        assert app.prompt.question is None
        assert app.place.mode == "pane"


async def test_a_click_on_a_tab_leaves_the_palette_and_its_prompt() -> None:
    async with playing(size=(120, 40)) as (app, pilot):
        await pilot.press("colon", *"zoom")
        await pilot.click("#tabs", offset=(text(app).splitlines()[1].index("3 "), 0))
        await settle(pilot)
        assert app.prompt.question is None
        assert app.place.pane is app.place.panes[2]
        assert not app.place.zoomed


async def test_clicks_answer_no_question_and_take_nobody_away_from_it() -> None:
    """What is asked is about what is on the screen: rows and tabs wait, as their keys do."""
    async with playing(size=(120, 40)) as (app, pilot):
        await pilot.press("slash", *"eth")
        pane = app.place.pane
        await pilot.click("#tabs", offset=(text(app).splitlines()[1].index("3 "), 0))
        for _ in range(3):
            await pilot.click("#table-interfaces", offset=(4, 2))
        await settle(pilot)
        assert (app.place.mode, app.place.pane, app.place.filter) == ("pane", pane, "eth")
        await pilot.press("enter")
        assert app.prompt.question is None


async def test_a_number_takes_the_choice_beside_it_also_in_another_order() -> None:
    """A click on the heading sorts a menu, as it sorts any table."""
    async with playing(size=(120, 40)) as (app, pilot):
        await pilot.press("s")
        titles = [str(r.values["title"]) for r in app.table.rows]
        await pilot.click("#menu", offset=(2, 0))
        await pilot.click("#menu", offset=(8, 0))
        assert [str(r.values["title"]) for r in app.table.rows] != titles
        await pilot.press("2")
        assert app.place.mode == "pane"
        assert next(f for f in app.table.fields if f.name == app.table.sort).title == titles[1]


async def test_an_answer_is_for_the_question_that_it_was_typed_at() -> None:
    """Another may take its place while it is found out whether it was to be seen."""
    async with playing() as (app, pilot):
        got: list[str | None] = []
        second = Question("second?", got.append, choices={"y": "yes"})

        async def replaced(*_: object) -> bool:
            app.prompt.ask(second)
            return True

        app.prompt.ask(Question("first?", got.append, choices={"y": "yes"}))
        app.prompt._was_seen = replaced  # type: ignore[method-assign]
        await pilot.press("y")
        assert got == []
        assert app.prompt.question is second
