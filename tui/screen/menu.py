"""Menus: choices in the table's place, with a preview of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from probes.model import Value
from probes.units import Unit
from tui.screen.context import Context
from tui.table.fields import Field, TableRow, label
from tui.table.fuzzy import rank
from tui.widgets.prompt import Question


class Choice(NamedTuple):
    """A choice of a menu.

    title: its name. keys: keys that do the same. ready: it can be chosen; if not, `help` says why.
    section: its place in the palette.
    """

    title: str
    do: Callable[[], None]
    help: str = ""
    keys: str = ""
    ready: bool = True
    section: str = ""


@dataclass(slots=True)
class Menu:
    """A menu.

    title: the heading. at: the choice to begin with. look: called with each choice that is
    selected; left: called when none was taken. ask: the prompt, if it is typed into; note: the text
    below that.
    """

    title: str
    choices: Sequence[Choice]
    at: int = 0
    look: Callable[[Choice], None] | None = None
    left: Callable[[], None] | None = None
    ask: str = ""
    note: str = ""

    def fields(self) -> tuple[Field, ...]:
        """Return its columns; rows are in order even if the place is hidden."""
        place = Field("place", "" if self.ask else "#", Unit.NUMBER, 0 if self.ask else 3, 0)
        title = Field(
            "title",
            self.title,
            Unit.TEXT,
            *((40, 0, 54) if self.ask else (16, 0, 24)),
            colour=_role,
        )
        keys = Field("keys", "Keys", Unit.TEXT, 9, 2)
        has_keys = any(c.keys for c in self.choices)
        return (
            place,
            title,
            *((keys,) if has_keys else ()),
            Field("help", "", Unit.TEXT, *((27, 3) if self.ask else (30, 1))),
        )


def _role(record: TableRow) -> str:
    return record.mark


class MenuMode:
    """The mode "menu": one menu at a time, over what was shown before."""

    def __init__(self, screen: Context) -> None:
        self._screen = screen
        self._menu: Menu | None = None
        self._question: Question | None = None
        self._behind = "pane"

    def open(self, menu: Menu) -> None:
        place, screen = self._screen.place, self._screen
        if place.mode != "menu":
            self._behind = place.mode
        self._menu = menu
        screen.navigation.show("menu")
        self._list(menu.choices)
        screen.table.select(menu.at)
        if menu.ask:
            self._question = Question(
                menu.ask,
                self._answered,
                typed=self._narrow,
                steer=screen.table.move,
                note=(lambda _: (menu.note, "muted")) if menu.note else None,
            )
            screen.prompt.ask(self._question)

    def _list(self, choices: Sequence[Choice]) -> None:
        menu, table = self._menu, self._screen.table
        if menu is None:
            return
        at = {id(choice): i for i, choice in enumerate(menu.choices)}
        table.wear(menu.fields(), "no match")
        table.show([_record(at[id(c)], c, place) for place, c in enumerate(choices, 1)])

    def _narrow(self, text: str) -> None:
        """List the choices that match the typed text, the best first."""
        if self._menu is not None:
            names = lambda c: (c.title, c.help)  # noqa: E731 # it is no more than that
            self._list(rank(text, self._menu.choices, names) if text else self._menu.choices)
            self._screen.table.select(0)

    def _answered(self, text: str | None) -> None:
        if text is None:
            self.leave()
        else:
            self.take()

    def leave(self) -> None:
        """Close the menu without taking a choice."""
        if self._menu is not None:
            self._screen.navigation.show(self._behind)

    def left(self) -> None:
        """Take note that something else is shown in its place: no choice was taken."""
        menu = self._let_go()
        if menu is not None and menu.left is not None:
            menu.left()

    def take(self, place: int | None = None) -> None:
        """Take the selected choice, or that at a place (from 1)."""
        menu, table = self._menu, self._screen.table
        record = table.record
        if place is not None:
            record = next((r for r in table.rows if r.values["place"] == place), None)
        if menu is None or (record is None and place is not None):
            return
        if record is None:
            self.leave()
            return
        choice = menu.choices[int(str(record.key))]
        if choice.ready:
            self._let_go()
            self._screen.navigation.show(self._behind)
            choice.do()
        elif menu.ask:
            self.leave()
        if not choice.ready:
            self._screen.toast(choice.help, "warning")

    def _let_go(self) -> Menu | None:
        """Forget the menu, and close its prompt: a click may have taken a choice."""
        menu, self._menu = self._menu, None
        question, self._question = self._question, None
        if question is not None and self._screen.prompt.question is question:
            self._screen.prompt.close(None)
        return menu

    def look_at_choice(self) -> None:
        """Preview the selected choice, if the menu does that."""
        menu, record = self._menu, self._screen.table.record
        if menu is not None and menu.look is not None and record is not None:
            menu.look(menu.choices[int(str(record.key))])


def _record(at: int, c: Choice, place: int) -> TableRow:
    values: dict[str, Value] = {
        "place": place,
        "title": label(c.title),
        "keys": c.keys,
        "help": label(c.help),
    }
    return TableRow(at, c.title, values, "" if c.ready else "warn")
