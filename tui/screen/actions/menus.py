"""Menus: choices in the table's place, with a look at what each would do, and the palette."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from probes.model import Value
from probes.units import Unit
from tui.screen.actions.attach import Attaching
from tui.table.fields import Field, Record, label
from tui.table.fuzzy import rank
from tui.table.lines import Line, line
from tui.widgets.prompt import Question


class Choice(NamedTuple):
    """title: what it is called. keys: those that do the same. ready: it can be chosen; where it
    cannot, `help` says why."""

    title: str
    do: Callable[[], None]
    help: str = ""
    keys: str = ""
    ready: bool = True


@dataclass(slots=True)
class Menu:
    """title: what is chosen. at: the choice to begin with. look: called with each choice that is
    selected; left: when none was taken. ask: it is typed into, and that is what the prompt says;
    note: what stands below that.
    """

    title: str
    choices: Sequence[Choice]
    at: int = 0
    look: Callable[[Choice], None] | None = None
    left: Callable[[], None] | None = None
    ask: str = ""
    note: str = ""

    def fields(self) -> tuple[Field, ...]:
        # By place, also where that is not shown.
        place = Field("place", "" if self.ask else "#", Unit.NUMBER, 0 if self.ask else 3, 0)
        title = Field("title", self.title, Unit.TEXT, 16, 0, 54 if self.ask else 24, colour=_role)
        keys = Field("keys", "Keys", Unit.TEXT, 9, 2)
        has_keys = any(c.keys for c in self.choices)
        return place, title, *((keys,) if has_keys else ()), Field("help", "", Unit.TEXT, 30, 3)


def _role(record: Record) -> str:
    return record.mark


class Menus(Attaching):
    """The mode "menu": one menu at a time, over what was looked at before."""

    _menu: Menu | None = None
    _behind = "pane"

    def action_pane(self, place: int) -> None:
        if self._mode == "menu":
            self.take_choice(place)
        elif 0 < place <= len(self.panes):
            self._go_to(self.panes[place - 1])

    def action_pane_step(self, step: int) -> None:
        if self._mode == "menu":
            self.table.move(step)
            return
        self.action_pane((self.panes.index(self._tab) + step) % len(self.panes) + 1)

    def _keys(self) -> Line:
        if self._mode != "menu":
            return super()._keys()
        keys = (("Enter", "take"), ("Esc", "back"), ("1-9", "take that"))
        return line(
            " ", *(span for k, what in keys for span in ((k, "accent"), (f" {what}  ", "muted")))
        )

    def open_menu(self, menu: Menu) -> None:
        if self._mode != "menu":
            self._behind = self._mode
        self._menu = menu
        self._show("menu")
        self._list(menu.choices)
        self.table.select(menu.at)
        if menu.ask:
            self.prompt.ask(
                Question(
                    menu.ask,
                    self._answered,
                    typed=self._narrow,
                    steer=self.table.move,
                    note=(lambda _: (menu.note, "muted")) if menu.note else None,
                )
            )

    def _list(self, choices: Sequence[Choice]) -> None:
        menu, table = self._menu, self.table
        if menu is None:
            return
        at = {id(choice): i for i, choice in enumerate(menu.choices)}
        table.wear(menu.fields(), "nothing is called like that")
        table.show([_record(at[id(c)], c, place) for place, c in enumerate(choices, 1)])

    def _narrow(self, text: str) -> None:
        """The choices that what is typed can mean, the best first."""
        if self._menu is not None:
            names = lambda c: (c.title, c.help)  # noqa: E731 # it is no more than that
            self._list(rank(text, self._menu.choices, names) if text else self._menu.choices)
            self.table.select(0)

    def _answered(self, text: str | None) -> None:
        if text is None:
            self.leave_menu()
        else:
            self.take_choice()

    def leave_menu(self) -> None:
        menu = self._close_menu()
        if menu is not None and menu.left is not None:
            menu.left()

    def take_choice(self, place: int | None = None) -> None:
        """Do the selected choice, or that at a place (from 1)."""
        menu, record = self._menu, self.table.record
        if place is not None:
            self.table.select(place - 1)
            record = self.table.record if place <= self.table.counts[1] else None
        if menu is None or (record is None and place is not None):
            return
        if record is None:
            self.leave_menu()
            return
        choice = menu.choices[int(str(record.key))]
        if choice.ready:
            self._close_menu()
            choice.do()
        elif menu.ask:
            self.leave_menu()
        if not choice.ready:
            self._tell(choice.help, "warning")

    def _close_menu(self) -> Menu | None:
        menu, self._menu = self._menu, None
        if menu is not None:
            self._show(self._behind)
        return menu

    def look_at_choice(self) -> None:
        """The selection moved."""
        menu, record = self._menu, self.table.record
        if menu is not None and menu.look is not None and record is not None:
            menu.look(menu.choices[int(str(record.key))])


def _record(at: int, c: Choice, place: int) -> Record:
    values: dict[str, Value] = {
        "place": place,
        "title": label(c.title),
        "keys": c.keys,
        "help": label(c.help),
    }
    return Record(at, c.title, values, "" if c.ready else "warn")
