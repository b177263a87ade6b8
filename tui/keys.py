"""The key table: every binding with an id, so that it can be remapped; help is made from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True, slots=True)
class Key:
    """One binding. keys: as Textual names them, by commas. shown: as people know them.

    footer: its place among the at most seven keys at the bottom, 0: not there.
    anywhere: also while something is typed.
    """

    id: str
    keys: str
    shown: str
    action: str
    title: str
    help: str
    group: str
    footer: int = 0
    anywhere: bool = False


KEYS = (
    Key("help", "question_mark,f1,h", "? F1 h", "help", "Help", "these keys", "General", 7),
    Key("quit", "q,f10", "q F10", "quit_now", "Quit", "detach everything and leave", "General", 6),
    Key(
        "quit.anywhere", "ctrl+c,ctrl+q", "^C ^Q", "quit_now", "Quit",
        "the same, also while typing", "General", 0, True,
    ),
    Key("back", "escape", "Esc", "go_back", "Back", "close, unzoom, clear the filter", "General"),
    Key("pane.next", "tab", "Tab", "pane_step(1)", "", "next pane", "Panes", 0, True),
    Key("pane.previous", "shift+tab", "S-Tab", "pane_step(-1)", "", "previous pane",
        "Panes", 0, True),
    *(
        Key(f"pane.{n}", str(n), str(n), f"pane({n})", "", f"pane {n}", "Panes")
        for n in range(1, 10)
    ),
    Key("zoom", "z", "z", "zoom", "Zoom", "the table alone, or all again", "Panes"),
    Key("up", "up,k", "Up k", "move(-1)", "", "up", "Moving"),
    Key("down", "down,j", "Down j", "move(1)", "", "down", "Moving"),
    Key("page.up", "pageup", "PgUp", "page(-1)", "", "a page up", "Moving"),
    Key("page.down", "pagedown", "PgDn", "page(1)", "", "a page down", "Moving"),
    Key("top", "home,g", "Home g", "top", "", "to the top, or to what is wrong",
        "Moving"),
    Key("bottom", "end,G,shift+g", "End G", "bottom", "", "to the bottom", "Moving"),
    Key("open", "enter", "Enter", "open", "Detail", "the selected row's detail", "Looking", 1),
    Key("filter", "slash,f4", "/ F4", "filter", "Filter",
        "show rows with all these words; !word leaves out", "Looking", 2),
    Key("sort.menu", "s,f6", "s F6", "sort_menu", "Sort", "choose the column to sort by",
        "Looking", 3),
    Key("sort.left", "less_than_sign", "<", "sort(-1)", "", "sort by the column to the left",
        "Looking"),
    Key("sort.right", "greater_than_sign", ">", "sort(1)", "", "sort by the column to the right",
        "Looking"),
    Key("sort.reverse", "I,shift+i", "I", "reverse", "", "reverse the order", "Looking"),
    Key("units", "u", "u", "units", "Units", "bytes or bits", "Looking"),
    Key("freeze", "space", "Space", "freeze", "Freeze",
        "freeze the screen, or back to live; collecting goes on; a recording: pause", "Time", 4),
    Key("rewind", "left_square_bracket", "[", "rewind(-1)", "",
        "a moment back, freezing the screen", "Time"),
    Key("forward", "right_square_bracket", "]", "rewind(1)", "", "a moment forward", "Time"),
    Key("rewind.minute", "left_parenthesis", "(", "rewind_minutes(-1)", "", "a minute back",
        "Time"),
    Key("forward.minute", "right_parenthesis", ")", "rewind_minutes(1)", "", "a minute forward",
        "Time"),
    Key("mark.previous", "left_curly_bracket", "{", "to_mark(-1)", "",
        "to the mark before: drops, failures, attach events", "Time"),
    Key("mark.next", "right_curly_bracket", "}", "to_mark(1)", "", "to the next mark", "Time"),
    Key("to.time", "J,shift+j", "J", "to_time", "", "to a time", "Time"),
    Key("record.save", "W,shift+w", "W", "save", "", "save the last 15 minutes to a file", "Time"),
    Key("record.start", "w", "w", "record", "", "record to a file from now on, or end it", "Time"),
    Key("slower", "plus", "+", "interval(1)", "", "a longer interval; a recording: faster",
        "Looking"),
    Key("faster", "minus", "-", "interval(-1)", "", "a shorter interval; a recording: slower",
        "Looking"),
    Key("theme", "T,shift+t", "T", "theme_next", "Theme", "next theme", "Looking"),
    Key("attach", "a", "a", "attach", "Attach/detach", "attach the row's hook", "Hooks", 4),
    Key("detach", "d,delete", "d Del", "detach", "",
        "detach the row's hook; in the list of drop rules: end the rule", "Hooks"),
    Key("sources", "t", "t", "sources", "Top sources", "who sends what to the interface",
        "Who drops, and dropping", 3),
    Key("drop", "D,shift+d", "D", "drop", "Drop",
        "drop packets by a rule: of this source, on this interface; asks first",
        "Who drops, and dropping", 5),
    Key("rules", "L,shift+l", "L", "rules", "", "the list of drop rules; d ends one",
        "Who drops, and dropping"),
)  # fmt: skip

_PANE, _TABLES = frozenset({"pane"}), frozenset({"pane", "menu"})
_ANY, _NUMBERS = _TABLES | {"detail", "help"}, frozenset({"pane", "detail"})
MODES = {
    "help": _ANY, "go_back": _ANY, "pane": _ANY, "pane_step": _ANY, "move": _ANY, "page": _ANY,
    "top": _ANY, "bottom": _ANY, "theme_next": _ANY, "interval": _ANY,
    "sources": _NUMBERS, "drop": _NUMBERS, "rules": _NUMBERS,
    "freeze": _NUMBERS, "rewind": _NUMBERS, "rewind_minutes": _NUMBERS, "to_mark": _NUMBERS,
    "to_time": _NUMBERS, "save": _NUMBERS, "record": _NUMBERS,
    "units": _NUMBERS, "attach": _NUMBERS, "detach": _NUMBERS,
    "open": _TABLES, "zoom": _PANE, "filter": _PANE, "sort_menu": _PANE, "sort": _PANE,
    "reverse": _PANE,
}  # fmt: skip
"""What the screen may show for an action to mean something; one that is not here always does."""


def bindings() -> Iterator[BindingType]:
    """The table as Textual wants it."""
    for key in KEYS:
        yield Binding(
            key.keys, key.action, key.title or key.help, show=False, priority=key.anywhere,
            id=key.id,
        )  # fmt: skip


def footer() -> tuple[Key, ...]:
    """The keys at the bottom, in their order."""
    return tuple(sorted((k for k in KEYS if k.footer), key=lambda k: k.footer))
