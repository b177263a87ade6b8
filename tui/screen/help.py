"""The help: made from the current keys and the pane's columns, so it cannot be wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

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
        self._keys = [k for k in screen.keymap.table if screen.offered(k) and k.id not in beyond]
        screen.navigation.show_help()
        self.show("")

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
    sections = [_explained(explained, width), *_sections(pane, fields, keys, catalogue)]
    for heading, below in sections:
        found = [r for r, more in below if all(w in _plain(r, f"{heading} {more}") for w in words)]
        if found:
            lines += [BLANK, line((f" {heading}", "accent")), *found]
    return lines or [BLANK, line((f" no match in the help for {label(search)!r}", "muted"))]


def _explained(words: Sequence[tuple[str, str]], width: int) -> Section:
    """Return the words of the row or detail from which the help was opened."""
    rows: list[tuple[Line, str]] = []
    for word, said in words:
        for n, part in enumerate(wrap(label(said), max(width - 26, 20))):
            rows.append((_pair("" if n else word, part, 20), f"{word} {said}"))
    return "Words here", rows


def _plain(row: Line, more: str) -> str:
    return f"{more} {' '.join(text for text, _ in row.spans)}".lower()


def _sections(
    pane: Pane, fields: Sequence[Field], keys: Sequence[Key], catalogue: Mapping[str, Hook]
) -> Iterator[Section]:
    for group in dict.fromkeys(k.group for k in keys):
        here = [k for k in keys if k.group == group and k.shown]
        yield group, [(_pair(k.shown, k.help, 9), f"{k.id} {k.title}") for k in here]
    yield f"Columns of {pane.title}", [(_pair(f.title, label(f.help), 13), f.name) for f in fields]
    yield "Vital signs", [(_pair(name, said, 13), "") for name, said in MEANINGS.items()]
    yield "Marks", [(row, "") for row in _MARKS]
    hooks = [catalogue[name] for name in pane.hooks if name != EVERY and name in catalogue]
    yield f"Hooks behind {pane.title}", [(_pair(h.name, label(h.question), 17), "") for h in hooks]


_MARKS = (
    line(("   !  ", "bad"), "an alarm: somebody is harmed"),
    line(("   ~  ", "warn"), "a notice: unusual, but nobody is known to be harmed"),
    line(("   ^  ", ""), "unusual compared with the last minutes; not necessarily wrong"),
    line(("   -  ", "muted"), "unknown (a new row, a reset counter, nothing in the last 10 s)"),
    line(("   ~  ", "muted"), "text is cut here; before a number: hooks on a lower rung"),
)


def _pair(name: str, text: str, width: int) -> Line:
    return line((f"   {name:{width}} ", "header"), text)
