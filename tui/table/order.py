"""Records filtered and sorted: a few as objects, many as columns, with one result."""

from __future__ import annotations

from collections.abc import Sequence

from probes.columns.vocabulary import natural
from tui.table.fields import Field, TableRow
from tui.table.filters import Test, kept_of
from tui.table.many_records import MARKS, ManyRecords, Ordered


def in_order(
    records: Sequence[TableRow], field: Field, *, reverse: bool, keep: Test | None = None
) -> Sequence[TableRow]:
    """Return the records that are kept, sorted by a field, else by name, else as they are."""
    if isinstance(records, ManyRecords):
        kept = None if keep is None else kept_of(keep, records)
        return Ordered(records, records.sorted_by(field, reverse, kept))
    rows = [r for r in records if keep is None or keep(r)]
    rows.sort(key=lambda r: natural(r.name))
    rows.sort(key=field.order, reverse=reverse)
    return rows


def index_of(rows: Sequence[TableRow], key: object) -> int | None:
    """Return where the record with that key is; None if it is not among them."""
    if isinstance(rows, Ordered):
        return rows.index_of(key)
    return next((i for i, row in enumerate(rows) if row.key == key), None)


def worst_of(rows: Sequence[TableRow]) -> int:
    """Return the place of the first of those with the gravest mark, of at least one."""
    if isinstance(rows, Ordered):
        return rows.worst()
    return max(range(len(rows)), key=lambda place: MARKS.index(rows[place].mark))
