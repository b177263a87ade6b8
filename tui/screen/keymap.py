"""The key table: every binding with an id, so that it can be remapped; help is made from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from textual.binding import Binding, BindingType

from tui.terminal.key_names import named, people


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
    Key("quit", "q,f10", "q F10", "quit_asking", "Quit", "leave; everything is detached",
        "General", 6),
    Key(
        "quit.anywhere", "ctrl+c,ctrl+q", "^C ^Q", "quit_now", "Quit",
        "the same, also while typing", "General", 0, True,
    ),
    Key("back", "escape", "Esc", "go_back", "Back", "close, unzoom, clear the filter", "General"),
    Key("palette", "colon,ctrl+p", ": ^P", "palette", "", "everything by name", "General"),
    Key("settings", "f2", "F2", "settings", "", "settings, and saving them", "General"),
    Key("redraw", "ctrl+l", "^L", "redraw", "", "draw the screen anew", "General"),
    Key("suspend", "ctrl+z", "^Z", "suspend", "", "to the shell; `fg` comes back", "General"),
    Key("pane.next", "tab", "Tab", "pane_step(1)", "", "next pane", "Panes", 0, True),
    Key("pane.previous", "shift+tab", "S-Tab", "pane_step(-1)", "", "previous pane",
        "Panes", 0, True),
    *(
        Key(f"pane.{n}", str(n), str(n), f"pane({n})", "", f"pane {n}", "Panes")
        for n in range(1, 10)
    ),
    Key("presets", "p", "p", "presets", "", "presets: panes with sort and filter", "Panes"),
    Key("preset.save", "P,shift+p", "P", "save_preset", "", "save this pane as a preset", "Panes"),
    Key("zoom", "z", "z", "zoom", "Zoom", "the table alone, or all again", "Panes"),
    Key("up", "up,k", "Up k", "move(-1)", "", "up", "Moving"),
    Key("down", "down,j", "Down j", "move(1)", "", "down", "Moving"),
    Key("page.up", "pageup", "PgUp", "page(-1)", "", "a page up", "Moving"),
    Key("page.down", "pagedown", "PgDn", "page(1)", "", "a page down", "Moving"),
    Key("top", "home,g,F,shift+f", "Home g F", "top", "", "to the top, or to what is wrong",
        "Moving"),
    Key("bottom", "end,G,shift+g", "End G", "bottom", "", "to the bottom", "Moving"),
    Key("open", "enter", "Enter", "open", "Detail", "the selected row's detail", "Looking", 1),
    Key("filter", "slash,f4", "/ F4", "filter", "Filter",
        "filter: words, !word, column:word, column>5ms; in the help: search", "Looking", 2),
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
    Key("host", "H,shift+h", "H", "host(1)", "", "with several --remote: the next host", "Looking"),
    Key("theme", "T,shift+t", "T", "themes", "Theme", "choose a theme", "Looking"),
    Key("copy", "y", "y", "copy", "", "copy the row, or the detail", "Taking along"),
    Key("copy.table", "Y,shift+y", "Y", "copy_table", "", "copy the table", "Taking along"),
    Key("export", "E,shift+e", "E", "export", "", "the table's values to a file: CSV or JSON",
        "Taking along"),
    Key("screenshot", "ctrl+s", "^S", "screenshot_file", "", "the screen as a picture (SVG)",
        "Taking along"),
    Key("attach", "a", "a", "attach", "Attach/detach", "attach the row's hook", "Hooks", 4),
    Key("detach", "d,delete", "d Del", "detach", "",
        "detach the row's hook; in the list of drop rules: end the rule", "Hooks"),
    Key("undo", "U,shift+u", "U", "undo", "", "attach again what was detached last", "Hooks"),
    Key("sources", "t", "t", "sources", "Top sources", "who sends what to the interface",
        "Who drops, and dropping", 3),
    Key("drop", "D,shift+d", "D", "drop", "Drop",
        "drop packets by a rule: of this source, on this interface; asks first",
        "Who drops, and dropping", 5),
    Key("rules", "L,shift+l", "L", "rules", "", "the list of drop rules; d ends one",
        "Who drops, and dropping"),
)  # fmt: skip

_PANE, _TABLES = frozenset({"pane"}), frozenset({"pane", "menu"})
_NUMBERS, _TEXT = frozenset({"pane", "detail"}), frozenset({"pane", "detail", "help"})
_ANY = _TABLES | _TEXT
MODES = {
    "help": _ANY, "go_back": _ANY, "pane": _ANY, "pane_step": _ANY, "move": _ANY, "page": _ANY,
    "top": _ANY, "bottom": _ANY, "interval": _ANY, "host": _ANY, "screenshot_file": _ANY,
    "palette": _TEXT, "settings": _TEXT, "themes": _TEXT, "presets": _TEXT, "copy": _TEXT,
    "sources": _NUMBERS, "drop": _NUMBERS, "rules": _NUMBERS, "undo": _NUMBERS,
    "freeze": _NUMBERS, "rewind": _NUMBERS, "rewind_minutes": _NUMBERS, "to_mark": _NUMBERS,
    "to_time": _NUMBERS, "save": _NUMBERS, "record": _NUMBERS,
    "units": _NUMBERS, "attach": _NUMBERS, "detach": _NUMBERS,
    "open": _TABLES, "zoom": _PANE, "filter": frozenset({"pane", "help"}), "sort_menu": _PANE,
    "sort": _PANE, "reverse": _PANE, "copy_table": _PANE, "export": _PANE, "save_preset": _PANE,
}  # fmt: skip
"""What the screen may show for an action to mean something; one that is not here always does."""


class Keymap:
    """The table as it is here, with a person's own keys. problems: what is wrong with those."""

    def __init__(self, mine: Mapping[str, Sequence[str]] = {}) -> None:
        self.problems: list[str] = []
        self._owners: dict[str, str] = {}
        wanted = {id: self._understood(id, keys) for id, keys in mine.items()}
        self.table = tuple(self._with(key, wanted.get(key.id)) for key in KEYS)

    def _understood(self, id: str, keys: Sequence[str]) -> list[str] | None:
        """A person's keys as Textual names them; None where ours are to stay."""
        if id not in (known := [k.id for k in KEYS]):
            near = get_close_matches(id, known, 1)
            meant = f"did you mean {near[0]}?" if near else "? lists the keys, README.md their ids"
            self.problems.append(f"keys: there is no binding {id!r}; {meant}")
            return None
        taken = []
        for key in keys:
            name = named(key)
            if name is None:
                self.problems.append(f"keys: {id}: there is no key {key!r}; such as 'o', 'ctrl+o'")
            elif name in self._owners:
                self.problems.append(
                    f"keys: {key!r} is {self._owners[name]}'s already: {id} does without"
                )
            else:
                self._owners[name] = id
                taken.append(name)
        if not taken and (keys or id == "quit.anywhere"):
            return None
        return taken

    def _with(self, key: Key, mine: list[str] | None) -> Key:
        """The key with its person's keys; else with those of its own that no person gave away."""
        if mine is None:
            own = key.keys.split(",")
            mine = [k for k in own if self._owners.get(_letter(k), key.id) == key.id]
            if mine == own:
                return key
        both = [f"{k},shift+{k.lower()}" if k.isupper() and len(k) == 1 else k for k in mine]
        shown = [people(k) for k in mine if _letter(k) == k]
        return replace(key, keys=",".join(both), shown=" ".join(shown))

    def bindings(self) -> Iterator[BindingType]:
        """The table as Textual wants it."""
        for key in self.table:
            if key.keys:
                yield Binding(
                    key.keys, key.action, key.title or key.help, show=False,
                    priority=key.anywhere, id=key.id,
                )  # fmt: skip

    def footer(self) -> tuple[Key, ...]:
        """The keys at the bottom, in their order."""
        return tuple(sorted((k for k in self.table if k.footer and k.keys), key=lambda k: k.footer))

    def shown(self, id: str) -> str:
        """The first key of a binding, as people know it; "" where it has none."""
        return next((k.shown.partition(" ")[0] for k in self.table if k.id == id), "")


def _letter(key: str) -> str:
    """shift+g and G are one key; terminals send the one or the other."""
    return key[-1].upper() if key.startswith("shift+") and len(key) == 7 else key
