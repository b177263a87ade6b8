"""The rows of one hook's samples from a frame, as tables where they are many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

from probes.arrays import FEW, np
from probes.columns.cells import Cells, cells_of, joined
from probes.columns.row_table import RowTable
from probes.model import Key, Row
from probes.recording.cell_reader import read_rows
from probes.recording.codec import Reader

if TYPE_CHECKING:
    from numpy.typing import NDArray


class DecodedPart(NamedTuple):
    """The rows of one sample. order: each one's place before, from 1 on; 0: new; None: the same."""

    number: int
    before: Mapping[Key, Row]
    order: Sequence[int] | NDArray[Any] | None

    def places(self) -> NDArray[Any]:
        return np.asarray(np.arange(len(self.before)) + 1 if self.order is None else self.order)


def read_tables(
    data: Reader, parts: Sequence[DecodedPart], width: int, keys: tuple[int, ...]
) -> list[Mapping[Key, Row]]:
    """Read the rows of all parts: those that were there before, then the new ones."""
    order = [part.places() for part in parts]
    bases = [_kept(part, at, width) for part, at in zip(parts, order, strict=True)]
    base = bases[0] if len(bases) == 1 else _joined(bases)
    counts = [int(np.count_nonzero(at)) for at in order]
    news = [part.number - count for part, count in zip(parts, counts, strict=True)]
    kept = read_rows(data, sum(counts), width, base)
    new = read_rows(data, sum(news), width, None)
    made, was, fresh = list[Mapping[Key, Row]](), 0, 0
    for part, at, count, more in zip(parts, order, counts, news, strict=True):
        old = kept if len(parts) == 1 else _between(kept, was, count)
        cells = [*old] if not more else _mixed(old, _between(new, fresh, more), at)
        made.append(_table(part, cells, keys))
        was, fresh = was + count, fresh + more
    return made


def _kept(part: DecodedPart, at: NDArray[Any], width: int) -> Sequence[Cells]:
    """Return what those rows were that were there before, in the order in which they are now."""
    before = part.before
    if not before:
        return [cells_of([])] * width
    cells = before.cells if isinstance(before, RowTable) else _cells_of(before)
    places = at[at > 0] - 1
    if len(places) == len(before) and (np.diff(places, prepend=-1) == 1).all():
        return cells
    return [column.at(places) for column in cells]


def _cells_of(rows: Mapping[Key, Row]) -> Sequence[Cells]:
    return [cells_of(column) for column in zip(*rows.values(), strict=True)]


def _joined(bases: Sequence[Sequence[Cells]]) -> Sequence[Cells]:
    return [reduce(joined, columns) for columns in zip(*bases, strict=True)]


def _between(cells: Sequence[Cells], begin: int, number: int) -> Sequence[Cells]:
    return [column.at(np.arange(begin, begin + number)) for column in cells]


def _mixed(old: Sequence[Cells], new: Sequence[Cells], at: NDArray[Any]) -> list[Cells]:
    """Return rows that were there and new ones, each where it belongs."""
    there = at > 0
    if not there.any():
        return [*new]
    number = np.count_nonzero(there)
    places = np.where(there, np.cumsum(there) - 1, number + np.cumsum(~there) - 1)
    return [joined(was, now).at(places) for was, now in zip(old, new, strict=True)]


def _table(part: DecodedPart, cells: Sequence[Cells], keys: tuple[int, ...]) -> Mapping[Key, Row]:
    before = part.before
    if part.order is None and isinstance(before, RowTable) and before.has_keys_of(cells):
        table = before.with_cells(cells)
    else:
        table = RowTable.of(cells, keys)
    return table if len(table) > FEW else dict(table.items())
