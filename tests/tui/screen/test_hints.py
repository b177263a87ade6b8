"""A key that can do nothing says so, and the keys at the bottom can be clicked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.stage import playing, settle, step, text
from tui.screen import hints


def _last(app: Any) -> str:
    return text(app).splitlines()[-1].strip()


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (("Z",), "Z is not a key here; ? lists the keys"),
        (("1", "D"), "D does nothing here: select an interface, a source or a drop reason"),
        (("3", "t"), "t does nothing here: select an interface to see who sends to it"),
        (("1", "end", "i"), "i does nothing here: select a case first"),
        (("5", "a"), "a does nothing here: these rows belong to no hook"),
        (("4", "enter", "s"), "s does nothing while the detail is open: Esc closes it"),
        (("4", "escape"), "nothing to close, unzoom or clear"),
        (("4", "9"), "there is no pane 9: the last is 8"),
        (("8", "enter"), "there is no row here"),
        (("8", "y"), "there is no row here"),
        (("8", "a"), "there is no row here"),
        (("8", "d"), "there is no row here"),
        (("8", "x"), "there is no row here, so no graph"),
        (("4", "u"), "bits from now on, where sizes are shown"),
    ],
)
async def test_a_key_that_can_do_nothing_says_why(keys: tuple[str, ...], said: str) -> None:
    async with playing(pane="overview", ticks=49) as (app, pilot):
        await pilot.press(*keys)
        await settle(pilot)
        assert _last(app).startswith(said)
        await pilot.press("2")
        await settle(pilot)
        assert "Quit" in _last(app), "the next key has its own answer"


MOVES = {"up", "down", "page.up", "page.down", "top", "bottom", "redraw"}
"""What may find itself at the end, or the screen as it should be."""
LEAVES = {"quit", "quit.anywhere", "suspend"}


@pytest.mark.slow
@pytest.mark.parametrize("opened", [(), ("enter",)], ids=["pane", "detail"])
@pytest.mark.parametrize("pane", "1234568")  # the seventh reads its first rows only now
async def test_every_key_does_something_or_says_why_not(pane: str, opened: tuple[str, ...]) -> None:
    """On every pane, and in the detail of its first row: something is seen to come of it."""
    silent = []
    async with playing(pane="overview", size=(100, 30), ticks=49) as (app, pilot):
        for key in app.keymap.table:
            if key.id in {*MOVES, *LEAVES}:
                continue
            await pilot.press(*["escape"] * 5, pane, *opened)
            await settle(pilot)
            here = app.place.panes.index(app.place.pane) + 1  # a case's detail is in its own pane
            if key.id in {f"pane.{pane}", f"pane.{here}"}:
                continue  # its tab says that we are there
            app.hints.forget()
            app.clear_notifications()
            await settle(pilot)
            before = text(app)
            await pilot.press(key.keys.split(",")[0])
            await settle(pilot)
            if text(app) == before and not list(app._notifications):
                silent.append(key.id)
    assert not silent


@pytest.mark.parametrize("width", [60, 80])
async def test_no_hint_is_cut(width: int) -> None:
    """Of no key, in no mode."""
    async with playing(pane="overview", size=(width, 20)) as (app, _):
        for key in app.keymap.table:
            for mode in ("pane", "detail", "help", "menu"):
                pressed = key.keys.split(",")[0]
                app.hints.show(hints.why_unused(pressed, mode, app.keymap, app.groups))
                shown = app.hints.line(width)
                assert shown is not None
                assert "~" not in shown.spans[0][0]


async def test_it_is_said_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "SECONDS", 0.0)
    async with playing(pane="overview") as (app, pilot):
        await pilot.press("Z")
        await settle(pilot)
        await settle(pilot)
        assert "is not a key" not in _last(app)


async def test_a_key_at_the_bottom_can_be_clicked() -> None:
    async with playing(pane="overview", size=(80, 24)) as (app, pilot):
        for title, mode in (("s Sort", "menu"), ("? Help", "help"), ("Enter Detail", "pane")):
            await pilot.press("escape", "1")
            await settle(pilot)
            x = text(app).splitlines()[-1].index(title)
            await pilot.click("#prompt", offset=(x + len(title) - 1, 0))
            await settle(pilot)
            assert app.place.mode == mode
        assert app.place.pane.name != "overview", "Enter leads to the case's pane"


async def test_a_click_beside_the_keys_or_while_something_is_asked_does_nothing() -> None:
    async with playing(pane="overview", size=(120, 24)) as (app, pilot):
        await pilot.click("#prompt", offset=(119, 0))
        await settle(pilot)
        assert (app.place.mode, app.place.pane.name) == ("pane", "overview")
        await pilot.press("slash")
        await pilot.click("#prompt", offset=(10, 0))
        await settle(pilot)
        assert app.prompt.question is not None


async def test_the_cursor_moves_only_by_keys() -> None:
    """From the first key on: what goes wrong elsewhere is marked, and leaves it where it is."""
    async with playing(pane="overview", until=20, ticks=19) as (app, pilot):
        await pilot.press("2")
        await settle(pilot)
        before = app.table.record.name
        await step(pilot, 15)
        assert [r.name for r in app.table.rows if r.mark == "bad"] == ["eth1"]
        assert before != "eth1"
        assert app.table.record.name == before
        await pilot.press("home")
        await settle(pilot)
        assert app.table.record.name == "eth1", "to what is wrong"
        await pilot.press("5")
        await settle(pilot)
        assert app.table.record.mark == "bad", "a pane that is first seen begins with what is wrong"


async def test_help_explains_the_column_that_is_sorted_by() -> None:
    """Which < and > choose."""
    async with playing(pane="rtt", size=(100, 40)) as (app, pilot):
        await pilot.press(">", "?")
        await settle(pilot)
        field = next(
            f
            for f in app.table_of(app.place.pane).fields
            if f.name == app.table_of(app.place.pane).sort
        )
        said = text(app)
        assert "Words here" in said
        assert field.title in said
        assert field.help[:30] in said
