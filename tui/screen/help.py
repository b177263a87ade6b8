"""The help: made from the current keys and the pane's columns, so it cannot be wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from probes.analysis.glossary import glossary
from probes.analysis.vitals import MEANINGS
from probes.model import Hook
from tui.screen.context import Context
from tui.screen.key import Key
from tui.table.fields import Field, TableRow, label
from tui.table.lines import BLANK, Line, line, wrap
from tui.toolkit.pane import EVERY, Pane
from tui.widgets.prompt import Question

Section = tuple[str, list[tuple[Line, str]]]
"""A heading and the lines below it, each with other words by which it is found."""


class HelpMode:
    """The mode "help". search: the words that narrow it."""

    def __init__(self, screen: Context) -> None:
        self._screen = screen
        self._keys: Sequence[Key] = ()
        self._words: Sequence[tuple[str, str]] = ()
        self.search = ""

    def open(self) -> None:
        """Show the keys that work where we are."""
        screen = self._screen
        self._words = [*glossary(self._text(), self._hooks()), *self._column()]
        beyond = {f"pane.{n}" for n in range(len(screen.place.panes) + 1, 10)}
        keys = [k for k in screen.keymap.table if screen.offered(k) and k.id not in beyond]
        self._keys = [self._named(key) for key in keys]
        screen.navigation.show_help()
        self.show("")

    def _named(self, key: Key) -> Key:
        """Return a key that shows a pane with that pane's title."""
        panes, number = self._screen.place.panes, key.given or 0
        if key.id != f"pane.{number}" or number > len(panes):
            return key
        return replace(key, help=f"{key.help}: {panes[number - 1].title}")

    @property
    def _record(self) -> TableRow | None:
        """The row that the help is about: not a menu's choice."""
        return self._screen.record if self._screen.place.mode in ("pane", "detail") else None

    def _text(self) -> str:
        """Return what the help is asked for: the open detail, or the selected row."""
        screen = self._screen
        if screen.place.mode == "detail":
            return screen.report.text()
        record = self._record
        return "" if record is None else " ".join(map(str, (record.name, *record.values.values())))

    def _column(self) -> Iterator[tuple[str, str]]:
        """Yield the column that the table is sorted by, which < and > choose: what it means."""
        screen = self._screen
        if screen.place.mode == "pane":
            fields = (f for f in screen.table.fields if f.name == screen.table.sort and f.width)
            yield from ((f.title, f.help) for f in fields if f.help)

    def _hooks(self) -> Sequence[Hook]:
        """Return the hooks whose rungs may be meant: the row's own, or the pane's."""
        screen, catalogue = self._screen, self._screen.session.source.catalogue
        pane, record = screen.place.pane, self._record
        id = pane.hook_of(record) if pane.hook_of is not None and record is not None else None
        names = pane.hooks if id is None else (id.hook,)
        return [catalogue[name] for name in names if name in catalogue]

    def show(self, search: str) -> None:
        self.search, screen, pane = search, self._screen, self._screen.place.pane
        catalogue = screen.session.source.catalogue
        fields, words = screen.fields[pane.name], self._words
        lines = help_lines(pane, fields, self._keys, catalogue, search, words, screen.size.width)
        title = f"Help: {search}" if search else f"Help  {screen.keymap.shown('filter')}: search"
        screen.report.show(label(title), lines, anew=True)

    def ask(self) -> None:
        """Ask what to search for."""
        done = lambda text: self.show(text or "")  # noqa: E731 # it is no more than that
        self._screen.prompt.ask(
            Question("Search the help:", done, typed=self.show, answer=self.search)
        )


def help_lines(
    pane: Pane,
    fields: Sequence[Field],
    keys: Sequence[Key],
    catalogue: Mapping[str, Hook],
    search: str = "",
    explained: Sequence[tuple[str, str]] = (),
    width: int = 80,
) -> list[Line]:
    """Return the keys that work here, the columns' meanings, and the source of the numbers.

    search: words; only lines that have them all are returned, with their headings. explained: words
    of the row or the detail, with their sentences, which are wrapped at the width.
    """
    words = search.lower().split()
    lines: list[Line] = []
    sections = [
        ("Words here", [row for word, said in explained for row in _rows(word, said, 20, width)]),
        *_sections(pane, fields, keys, catalogue, width),
    ]
    for heading, below in sections:
        found = [r for r, more in below if all(w in _plain(r, f"{heading} {more}") for w in words)]
        if found:
            lines += [BLANK, line((f" {heading}", "accent")), *found]
    return lines or [BLANK, line((f" no match in the help for {label(search)!r}", "muted"))]


def _plain(row: Line, more: str) -> str:
    return f"{more} {' '.join(text for text, _ in row.spans)}".lower()


def _sections(
    pane: Pane,
    fields: Sequence[Field],
    keys: Sequence[Key],
    catalogue: Mapping[str, Hook],
    width: int,
) -> Iterator[Section]:
    def listed(items: Iterable[tuple[str, str, str]], room: int) -> list[tuple[Line, str]]:
        return [row for name, said, more in items for row in _rows(name, said, room, width, more)]

    for group in dict.fromkeys(k.group for k in keys):
        here = [k for k in keys if k.group == group and k.shown]
        yield group, listed([(k.shown, k.help, f"{k.id} {k.title}") for k in here], 9)
    yield f"Columns of {pane.title}", listed([(f.title, f.help, f.name) for f in fields], 13)
    yield "Vital signs", listed([(name, said, "") for name, said in MEANINGS.items()], 13)
    yield (
        "Marks",
        [row for sign, role, said in _MARKS for row in _rows(sign, said, 2, width, role=role)],
    )
    hooks = [catalogue[name] for name in pane.hooks if name != EVERY and name in catalogue]
    yield f"Hooks behind {pane.title}", listed([(h.name, h.question, "") for h in hooks], 17)


_MARKS = (
    ("!", "bad", "an alarm: somebody is harmed"),
    ("~", "warn", "a notice: unusual, but nobody is known to be harmed"),
    ("^", "", "unusual compared with the last minutes; not necessarily wrong"),
    ("-", "muted", "unknown (a new row, a reset counter, nothing in the last 10 s)"),
    ("~", "muted", "text is cut here; before a number: hooks on a lower rung"),
)


def _rows(
    name: str, text: str, room: int, width: int, more: str = "", *, role: str = "header"
) -> list[tuple[Line, str]]:
    """Return a name and what it means, in lines that fit; each is found by all of the words."""
    parts = list(wrap(label(text), max(width - room - 5, 20))) or [""]
    return [
        (line((f"   {'' if n else name:{room}} ", role), part), f"{name} {text} {more}")
        for n, part in enumerate(parts)
    ]
