"""The key table, and a person's own keys in it."""

from __future__ import annotations

import pytest

from tests.support.stage import playing, settle, text
from tui.config.settings import Settings
from tui.screen.keymap import KEYS, Keymap
from tui.terminal.key_names import named, people


def test_no_key_means_two_things() -> None:
    """Neither as it is nor by its id; but for p, which goes back in the tour (test_tour)."""
    every = [k for key in KEYS for k in key.keys.split(",") if (key.id, k) != ("tour.back", "p")]
    assert len(every) == len(set(every))
    assert len({k.id for k in KEYS}) == len(KEYS)
    assert not {"ctrl+a", "ctrl+b"} & set(every), "screen's and tmux's"


@pytest.mark.parametrize(
    ("written", "name", "shown"),
    [
        ("/", "slash", "/"), ("?", "question_mark", "?"), ("o", "o", "o"), ("O", "O", "O"),
        ("ctrl+o", "ctrl+o", "^O"), ("^o", "ctrl+o", "^O"), ("F7", "f7", "F7"),
        ("PageUp", "pageup", "PgUp"), ("space", "space", "Space"), ("+", "plus", "+"),
    ],
)  # fmt: skip
def test_keys_are_written_as_people_know_them(written: str, name: str, shown: str) -> None:
    """A character, a name, or with ctrl."""
    assert named(written) == name
    assert people(name) == shown


@pytest.mark.parametrize("written", ["", "nokey", "  ", "ctrl+", "hyper+x"])
def test_what_is_no_key(written: str) -> None:
    """It is said; the key stays as it was."""
    assert named(written) is None
    keymap = Keymap({"zoom": [written]})
    assert any("no key" in p for p in keymap.problems)
    assert keymap.shown("zoom") == "z"


def test_unknown_and_double_keys_are_said() -> None:
    """And the first of two has it."""
    keymap = Keymap({"sort.menu": ["o"], "zoom": ["o", "x"], "opne": ["y"]})
    assert keymap.problems == [
        "keys: 'o' is sort.menu's already; ignored for zoom",
        "keys: no binding 'opne'; did you mean open?",
    ]
    assert (keymap.shown("sort.menu"), keymap.shown("zoom")) == ("o", "x")


def test_a_key_that_is_given_away_is_its_owners_no_more() -> None:
    """G and Shift+G are one; a binding may have none; the way out cannot be closed."""
    keymap = Keymap({"help": ["G"], "zoom": [], "quit.anywhere": []})
    table = {k.id: k for k in keymap.table}
    assert (table["help"].keys, table["help"].shown) == ("G,shift+g", "G")
    assert (table["bottom"].keys, table["bottom"].shown) == ("end", "End")
    assert table["zoom"].keys == ""
    assert table["quit.anywhere"].keys == "ctrl+c,ctrl+q"


async def test_help_and_footer_have_the_keys_as_they_are() -> None:
    """Also after remapping; what has no key is not in the help."""
    settled = Settings(keys={"filter": ("f",), "zoom": (), "attach": ("ctrl+o",)})
    async with playing(size=(100, 140), settled=settled) as (app, pilot):
        assert " f Filter" in text(app).splitlines()[-1]
        assert "^O/d Attach/detach" in text(app).splitlines()[-1]
        await pilot.press("question_mark")
        await settle(pilot)
        shown = text(app)
        assert "   f         filter: words, !word" in shown
        assert "   ^O        attach the row's hook" in shown
        assert "the table alone" not in shown
        await pilot.press("escape", "slash")
        assert app.prompt.question is None, "not the filter's any more"


async def test_the_help_is_searched() -> None:
    """/ narrows it with every letter, Esc shows all again and then leaves."""
    async with playing(size=(100, 140)) as (app, pilot):
        await pilot.press("3", "question_mark", "slash", *"errno", "enter")
        await settle(pilot)
        shown = text(app)
        assert "Columns of Syscalls" in shown
        assert "freeze the screen" not in shown
        await pilot.press("escape")
        await settle(pilot)
        assert "freeze the screen" in text(app)
        await pilot.press("escape")
        assert app.place.mode == "pane"


async def test_the_help_has_only_what_does_something_here() -> None:
    """Top sources are an interface's; hooks are attached where rows stand for one."""
    async with playing(size=(100, 140)) as (app, pilot):
        for place, there in (("2", True), ("5", False)):
            await pilot.press(place, "question_mark")
            await settle(pilot)
            assert ("attach the row's hook" in text(app)) is there
            await pilot.press("escape")


async def test_the_help_begins_with_the_words_of_the_row() -> None:
    """A reason, an errno, a rung: of the selected row, or of the detail that is open."""
    async with playing(size=(100, 40), pane="overview", ticks=49) as (app, pilot):
        await pilot.press("down", "question_mark")
        await settle(pilot)
        assert "SOCKET_RCVBUFF       drop reason: The receive buffer" in text(app)
        await pilot.press("escape", "6", "question_mark")
        await settle(pilot)
        assert "btf-tracepoint       rung 3 of 6 of tcp-connect; needs Linux 5.5" in text(app)
        await pilot.press("escape", "2", "enter", "question_mark")
        await settle(pilot)
        assert "NO_SOCKET            drop reason: Nothing listens" in text(app)
        await pilot.press("escape")
        assert app.place.mode == "detail"
