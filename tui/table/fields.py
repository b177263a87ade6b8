"""What a table shows: records, and the fields that turn their values into text and roles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from probes.analysis.snapshot_row import SnapshotRow
from probes.columns.vocabulary import natural
from probes.model import Hook, Kind, Value
from probes.units import Unit, printable, show
from tui.table.lines import fit, width_of

SIGNS = {"": " ", "warn": "~", "bad": "!"}
"""Signs before a row, a tab and a sentence, by mark: unusual; somebody is harmed."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a table: values by field. key: its identity. name: as users know it.

    mark: "warn" or "bad" if something is wrong with it. row: the snapshot's row behind it. leads:
    the pane that this one is about, and keys of rows there, the most telling first.
    """

    key: object
    name: str
    values: Mapping[str, Value]
    mark: str = ""
    row: SnapshotRow | None = None
    leads: tuple[str, Sequence[object]] | None = None

    def number(self, name: str) -> float:
        value = self.values.get(name)
        return value if isinstance(value, int | float) else 0

    def text(self, name: str) -> str:
        return str(self.values.get(name) or "")


def _plain(_: TableRow) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a table.

    width: cells it needs, one of which the title leaves free (the sort mark); 0: it only sorts.
    grow: cells it can use. rank: the highest is dropped first if space is short. colour: record ->
    role. write: its text if not by unit; it is sorted by its value all the same. brief: a shorter
    text if that does not fit. left: aligned left although it is a number. drawn: its text for so
    many cells, if that is no matter of cutting it. ends: what stands at the right end of the
    title's cells. under: it moves to a second line if one line is not enough for all.
    searched: a word that names no column is looked for in it.
    """

    name: str
    title: str
    unit: Unit = Unit.TEXT
    width: int = 8
    rank: int = 5
    grow: int = 0
    help: str = ""
    colour: Callable[[TableRow], str] = field(default=_plain)
    write: Callable[[TableRow], str] | None = None
    brief: Callable[[TableRow], str] | None = None
    left: bool = False
    drawn: Callable[[TableRow, int], str] | None = None
    ends: str = ""
    under: bool = False
    searched: bool = True

    @property
    def right(self) -> bool:
        """Whether it is aligned right, as numbers are."""
        return self.unit is not Unit.TEXT and not self.left

    def cell(self, record: TableRow, width: int, bits: bool) -> str:
        """Return its text in exactly that many cells."""
        if self.drawn is not None:
            return self.drawn(record, width)
        text = self.text(record, bits)
        if self.brief is not None and width_of(text) > width:
            text = self.brief(record)
        return fit(text, width, right=self.right)

    def heading(self, width: int) -> str:
        """Return its title in exactly that many cells."""
        if self.ends and len(self.title) + len(self.ends) < width:
            return f"{self.title}{self.ends:>{width - len(self.title)}}"
        return fit(self.title, width, right=self.right)

    def text(self, record: TableRow, bits: bool) -> str:
        if self.write is not None:
            return self.write(record)
        value = record.values.get(self.name)
        if value == 0 and self.unit is not Unit.NUMBER:
            return "0"
        return show(value, self.unit, bits=bits)

    def role(self, record: TableRow) -> str:
        value = record.values.get(self.name)
        if value is None or (value == 0 and self.right) or value == "-":
            return "muted"
        return self.colour(record)

    def order(self, record: TableRow) -> tuple[int, float, str]:
        """Return a sort key for any value: unknown comes before 0, text after numbers."""
        value = record.values.get(self.name)
        if isinstance(value, int | float):
            return 1, value, ""
        return (0, 0, "") if value is None else (2, 0, natural(str(value)))


def of(
    hook: Hook,
    column: str,
    *,
    title: str = "",
    width: int = 0,
    rank: int = 5,
    grow: int = 0,
    colour: Callable[[TableRow], str] = _plain,
) -> Field:
    """Make a field from a hook's column, with its unit and help; counters show their rate."""
    c = hook.column(column)
    rate = c.kind is Kind.COUNTER
    name = rate_of(column) if rate else column
    text = title or (f"{c.title}/s" if rate else c.title)
    help = f"{c.help}, per second" if rate else c.help
    return Field(name, text, c.unit, width or max(c.width, len(text) + 1), rank, grow, help, colour)


@cache
def rate_of(column: str) -> str:
    """Return the name of a counter's rate, as in the JSON."""
    return f"{column}_per_s"


def values_of(row: SnapshotRow) -> dict[str, Value]:
    """Return a snapshot row's values, and its rates as NAME_per_s."""
    return {**row.values, **{rate_of(n): r for n, r in row.rates.items()}}


def coloured(role: str, over: float, *names: str) -> Callable[[TableRow], str]:
    """Return a function that gives the role if one of the values is above the bound."""

    def colour(record: TableRow) -> str:
        return role if any(record.number(n) > over for n in names) else ""

    return colour


def label(text: object) -> str:
    """Make somebody else's text harmless, and keep it in one piece."""
    return printable(str(text))
