"""The live table: sorted, filtered rows whose selection stays on its row while rows move."""

from __future__ import annotations

import time
from collections.abc import Sequence

from textual.geometry import Size
from textual.message import Message

from probes.units import Unit
from tui.table.fields import SIGNS, Field, TableRow
from tui.table.filters import Test
from tui.table.lines import BLANK, Line, Span, fit, line, wrap
from tui.table.order import in_order, index_of, worst_of
from tui.widgets.canvas import Canvas

GUTTER, INDENT = 2, 4
"""Cells before a row, and further cells before its second line."""
_NAMES_OF_MARKS = {"bad": "wrong", "warn": "unusual"}


class LiveTable(Canvas):
    """Records in columns. says_beyond: a line below the rows says how many others there are.

    Until the user moves it (`select`) or is about to (`settle`), the selection is on what is wrong,
    or else at the top; then it stays on its record, by key, wherever that moves.
    """

    class Selected(Message):
        """Another record is selected, or the selected one has new values."""

    class Opened(Message):
        """The user opens the selected record, by a click on it."""

    def __init__(
        self,
        fields: Sequence[Field],
        sort: str,
        *,
        reverse: bool = True,
        empty: str = "nothing yet",
        says_beyond: bool = False,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self.fields = tuple(fields)
        self.sort, self.reverse = sort, reverse
        self.bits = self.ascii = False
        self.empty = empty
        self._heading, self._says_beyond = "", says_beyond
        self.keep: Test | None = None
        self.key: object = None
        self.moved = 0.0
        self._followed, self._settles = True, False
        self._records: Sequence[TableRow] = ()
        self._rows: Sequence[TableRow] = ()
        self._top = 0
        self._shown: list[tuple[Field, int]] = []
        self._under: list[tuple[Field, int]] = []
        self._fitted = Size(0, 0)
        self._lines: dict[object, tuple[object, tuple[Line, ...]]] = {}

    @property
    def record(self) -> TableRow | None:
        """The selected record."""
        return self._rows[self.index] if self._rows else None

    @property
    def index(self) -> int:
        """The index of the selected record now."""
        return index_of(self._rows, self.key) or 0

    @property
    def counts(self) -> tuple[int, int, int]:
        """The selected row (from 1), rows shown, and rows in all."""
        return (self.index + 1 if self._rows else 0), len(self._rows), len(self._records)

    def show(self, records: Sequence[TableRow]) -> None:
        """Show new values."""
        self._records = records
        if len(self._lines) > 4 * self.size.height:
            self._lines.clear()  # most are of rows that went out of sight
        self.sort_rows()

    def sort_rows(self) -> None:
        """Filter, sort and draw again. moved: whether the selection moved by itself."""
        was, before = self.index, self.key
        field = next(f for f in self.fields if f.name == self.sort)
        rows = in_order(self._records, field, reverse=self.reverse, keep=self.keep)
        self._rows = rows
        if rows and self._followed:
            self.key = rows[worst_of(rows)].key  # the first of the worst
            self._top = 0  # wherever it was before
            self._followed = not (self._settles and self._has_order())
        elif rows and index_of(rows, self.key) is None:
            self.key = rows[min(was, len(rows) - 1)].key  # it went away: take its neighbour
        if before is not None and self.key != before:
            self.moved = time.monotonic()
        self._scroll()
        self.repaint()

    def hold(self) -> None:
        """Keep the selection on its record, as if the user had moved it there."""
        if self._rows and self.record is not None:
            self.key, self._followed = self.record.key, False

    def settle(self) -> None:
        """Keep the selection on its record from now on, or from when there is one."""
        self._settles = True
        if self._has_order():
            self.hold()

    def _has_order(self) -> bool:
        """Return whether anything tells rows apart: before a second reading no rate does."""
        field, rows = next(f for f in self.fields if f.name == self.sort), self._rows
        if not rows:
            return False
        return bool(rows[worst_of(rows)].mark) or any(
            field.order(row)[0] for row in (rows[0], rows[-1])
        )

    def wear(self, fields: Sequence[Field], empty: str) -> None:
        """Use other columns, sorted by the first, and another text for an empty table."""
        self.fields, self.sort, self.reverse, self.empty = (
            tuple(fields),
            fields[0].name,
            False,
            empty,
        )
        self._fitted = Size(0, 0)  # they must be fitted again
        self._records = ()

    @property
    def rows(self) -> Sequence[TableRow]:
        """The rows shown, in order."""
        return self._rows

    @property
    def columns(self) -> list[Field]:
        """The columns that fit."""
        return [f for f, _ in (*self._shown, *self._under)]

    def head(self, title: str) -> None:
        """Use another title for the first column from now on."""
        self._heading = title

    def say_if_empty(self, text: str) -> None:
        """Use another text for a table without rows."""
        self.empty = text

    def use_ascii(self, ascii: bool) -> None:
        """Draw with ASCII only, or not, from now on."""
        self.ascii = ascii
        self._lines.clear()

    def use_bits(self, bits: bool) -> None:
        """Show bits instead of bytes from now on."""
        self.bits = bits

    def filter(self, keep: Test | None) -> None:
        """Show only these rows, from the next `sort_rows` on."""
        self.keep = keep

    def order(self, sort: str, *, reverse: bool) -> None:
        """Sort by that column."""
        self.sort, self.reverse = sort, reverse
        self.sort_rows()

    def select(self, index: int) -> None:
        """Select the row that is there now."""
        if not self._rows:
            return
        index = min(max(index, 0), len(self._rows) - 1)
        self.key, self._followed, self.moved = self._rows[index].key, False, 0.0
        self._scroll()
        self.repaint()
        self.post_message(self.Selected())

    def select_key(self, *keys: object) -> None:
        """Select the first of those records that is there, if any is."""
        places = (index_of(self._rows, key) for key in keys)
        found = next((place for place in places if place is not None), None)
        if found is not None:
            self.select(found)

    def follow(self) -> None:
        """Return to the top, and from there to what is wrong."""
        self._followed, self._top = True, 0
        self.sort_rows()
        self.post_message(self.Selected())

    def move(self, rows: int) -> None:
        self.select(self.index + rows)

    def page(self, pages: int) -> None:
        self.move(pages * max(self._room - 1, 1))

    def sort_by(self, name: str) -> None:
        """Sort by a column, numbers in descending order; if already so, reverse."""
        if name == self.sort:
            self.reverse = not self.reverse
        else:
            field = next(f for f in self.fields if f.name == name)
            self.sort, self.reverse = name, field.unit is not Unit.TEXT
        self.sort_rows()

    def sort_next(self, step: int) -> None:
        """Sort by the next column on the screen."""
        names = [f.name for f, _ in (*self._shown, *self._under)]
        if not names:  # the screen is too small for any
            return
        at = names.index(self.sort) if self.sort in names else -1
        self.sort_by(names[(at + step) % len(names)])

    @property
    def _deep(self) -> int:
        """Lines that a record takes."""
        return 2 if self._under else 1

    @property
    def _room(self) -> int:
        """Records that there are lines for, each whole."""
        lines = self.size.height - 1
        if self._says_beyond and len(self._rows) > lines // self._deep:
            lines -= 1
        return max(lines // self._deep, 1)

    def _scroll(self) -> None:
        room, index = self._room, self.index
        top = min(max(self._top, index - room + 1), index)
        self._top = max(min(top, len(self._rows) - room), 0)

    def _fit(self) -> None:
        """Choose the columns that fit, and their widths; some may go to a second line."""
        fields, under = [f for f in self.fields if f.width], list[Field]()
        space = self.size.width - GUTTER
        if _width(fields) > space:
            under = [f for f in fields if f.under]
            fields = [f for f in fields if not f.under]
        self._shown = _columns(fields, space)
        self._under = _columns(under, space - INDENT) if under else []

    def _take_shape(self, width: int) -> None:
        super()._take_shape(width)
        if self.size != self._fitted:
            self._scroll()
        if width != self._fitted.width:
            self._lines.clear()
            self._fit()
        self._fitted = self.size

    def line(self, y: int, /) -> Line:
        if y == 0:
            return self._header()
        if not self._rows:
            return self._why_empty(y - 1)
        at, below = divmod(y - 1, self._deep)
        if at >= self._room:
            first = y == 1 + self._room * self._deep
            return self._beyond() if self._says_beyond and first else BLANK
        at += self._top
        return self._row(self._rows[at])[below] if at < len(self._rows) else BLANK

    def _beyond(self) -> Line:
        """Say how many rows are above and below those that are shown, and what they are."""
        first, end = self._top, self._top + self._room
        beyond = [*self._rows[:first], *self._rows[end:]]
        if not beyond:
            return BLANK
        counts = {m: sum(row.mark == m for row in beyond) for m in _NAMES_OF_MARKS}
        said = [f"{n} {_NAMES_OF_MARKS[mark]}" for mark, n in counts.items() if n]
        role = next((mark for mark, n in counts.items() if n), "muted")
        what = f": {', '.join(said)}" if said else ", calm"
        return line((f"{'':{GUTTER}}{len(beyond)} more{what}", role))

    def _why_empty(self, y: int) -> Line:
        why = "nothing matches the filter" if self._records else self.empty
        rows = list(wrap(why, self._width - GUTTER))
        return line((f"{'':{GUTTER}}{rows[y]}", "muted")) if y < len(rows) else BLANK

    def _header(self) -> Line:
        spans: list[Span] = [(" " * GUTTER, "header")]
        up, down = ("^", "v") if self.ascii else ("▲", "▼")
        for field, width in self._shown:
            if field.name == self.sort:
                title = field.title + (down if self.reverse else up)
                spans.append((fit(title, width, right=field.right), "accent"))
            elif self._heading and field is self._shown[0][0]:
                spans.append((fit(self._heading, width), "header"))
            else:
                spans.append((field.heading(width), "header"))
            spans.append((" ", "header"))
        return Line(tuple(spans))

    def _row(self, record: TableRow) -> tuple[Line, ...]:
        """Return the record's lines; the previous ones if nothing that they show has changed."""
        chosen = record.key == self.key
        seen = (record.values, record.mark, chosen, self.bits)
        before = self._lines.get(record.key)
        drawn = before[1] if before and before[0] == seen else self._lines_of(record, chosen)
        self._lines[record.key] = seen, drawn
        return drawn

    def _lines_of(self, record: TableRow, chosen: bool) -> tuple[Line, ...]:
        ground = "selection" if chosen else ""
        arrow = (">" if self.ascii else "▸") if chosen else " "
        unusual = record.values.get("unusual") is not None
        sign = SIGNS[record.mark] if record.mark else "^" if unusual else " "
        head: list[Span] = [(arrow, "accent"), (sign, record.mark)]
        first = Line((*head, *self._cells(record, self._shown)), ground)
        if not self._under:
            return (first,)
        under = self._cells(record, self._under)
        return first, Line(((" " * (GUTTER + INDENT), ""), *under), ground)

    def _cells(self, record: TableRow, columns: Sequence[tuple[Field, int]]) -> list[Span]:
        spans: list[Span] = []
        for field, width in columns:
            spans += [(field.cell(record, width, self.bits), field.role(record)), (" ", "")]
        return spans

    def on_click(self, event: object) -> None:
        x, y = int(event.x), int(event.y)  # type: ignore[attr-defined]
        if y > 0:
            at = self._top + (y - 1) // self._deep
            again = bool(self._rows) and at == self.index and not self._followed
            if again:
                self.post_message(self.Opened())
            elif at < len(self._rows):
                self.select(at)
            return
        edge = GUTTER
        for field, width in self._shown:
            if edge <= x <= edge + width:
                self.sort_by(field.name)
            edge += width + 1

    def on_mouse_scroll_down(self) -> None:
        self.move(3)

    def on_mouse_scroll_up(self) -> None:
        self.move(-3)


def _width(fields: Sequence[Field]) -> int:
    return sum(f.width + 1 for f in fields) - 1


def _columns(fields: Sequence[Field], space: int) -> list[tuple[Field, int]]:
    """Drop the least important columns, then let the rest share the space."""
    fields = list(fields)
    while len(fields) > 1 and _width(fields) > space:
        fields.remove(max(reversed(fields), key=lambda f: f.rank))
    spare = space - _width(fields)
    widths = {f.name: min(f.width, max(space, 1)) for f in fields}
    for f in sorted(fields, key=lambda f: f.rank):
        more = min(max(spare, 0), max(f.grow - f.width, 0))
        widths[f.name] += more
        spare -= more
    if fields and not fields[-1].right:
        widths[fields[-1].name] += max(spare, 0)
    return [(f, widths[f.name]) for f in fields]
