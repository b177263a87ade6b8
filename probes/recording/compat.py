"""Recorded moments in terms of this program's hooks: columns by name, whichever version wrote them.

Missing columns are None; unknown columns and hooks are left out. A value of another type than its
column has is None: no pane has to expect it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import repeat

from probes.columns.cells import Cells, NumberCells, TupleCells, cells_of, nothing
from probes.columns.row_table import RowTable
from probes.model import Column, Hook, Kind, Row, Sample, Status, Value
from probes.recording.decoder import key_of
from probes.recording.encoder import Layout, Tick
from probes.units import Unit

Types = frozenset[type]
_NONE: type = type(None)
_NUMBERS: Types = frozenset({int, float, _NONE})
_TEXTS: Types = frozenset({str, _NONE})
_TUPLES: Types = frozenset({tuple, _NONE})


def types_of(column: Column) -> Types:
    """Return the types that a column's values may have."""
    if column.kind is Kind.HISTOGRAM:
        return _TUPLES
    return _TEXTS if column.unit is Unit.TEXT else _NUMBERS


def _types(hook: Hook, column: Column) -> Types:
    if column.kind is Kind.KEY and not hook.ladder:  # recalled: nobody knows what its fields are
        return _NUMBERS | _TEXTS
    return types_of(column)


class SchemaAdapter:
    """An adapter of moments to a catalogue, one after the other."""

    def __init__(self, hooks: Mapping[str, Hook]) -> None:
        self._hooks = hooks
        self._layouts = {name: Layout.of(hook) for name, hook in hooks.items()}
        self._stored = {n: [(c.name, _types(h, c)) for c in h.stored] for n, h in hooks.items()}
        self._keys = {n: {c.name for c in h.stored if c.identifies} for n, h in hooks.items()}
        self._logged = {n: [(c.name, _types(h, c)) for c in h.log] for n, h in hooks.items()}
        self._statuses: tuple[tuple[Status, ...], tuple[Status, ...]] = (), ()
        self._known: dict[str, tuple[tuple[Sample, ...], tuple[Sample, ...]]] = {}

    def tick(self, tick: Tick, layouts: Mapping[str, Layout]) -> Tick:
        """Return a tick for this catalogue. layouts: those of the moment's rows."""
        samples = {}
        for name, read in tick.samples.items():
            if name not in self._hooks:
                continue
            known = self._known.get(name)
            if known is None or known[0] is not read:  # else the hook was not read since
                known = read, self._samples(read, layouts[name])
                self._known[name] = known
            samples[name] = known[1]
        if tick.statuses is not self._statuses[0]:
            fitted = tuple([s for s in tick.statuses if s.id.hook in self._hooks])
            self._statuses = tick.statuses, fitted
        return replace(tick, samples=samples, statuses=self._statuses[1])

    def _samples(self, read: tuple[Sample, ...], layout: Layout) -> tuple[Sample, ...]:
        name = read[0].status.id.hook if read else ""
        if not read or (layout == self._layouts[name] and self._right(name, read)):
            return read
        return tuple([self._sample(s, layout) for s in read])

    def _right(self, name: str, read: tuple[Sample, ...]) -> bool:
        """Return whether each value has its column's type, as all have that we wrote ourselves."""
        tables = [s.rows for s in read if isinstance(s.rows, RowTable)]
        rows = [r for s in read if not isinstance(s.rows, RowTable) for r in s.rows.values()]
        log = [entry for sample in read for entry in sample.log]
        return all(_typed(table, self._stored[name]) for table in tables) and all(
            types.issuperset(map(type, column))
            for found, wanted in ((rows, self._stored[name]), (log, self._logged[name]))
            for column, (_, types) in zip(zip(*found, strict=True), wanted, strict=False)
        )

    def _sample(self, sample: Sample, layout: Layout) -> Sample:
        name = sample.status.id.hook
        if isinstance(sample.rows, RowTable) and self._keys[name] <= {*layout.names}:
            cells = _fitted_cells(sample.rows, layout.names, self._stored[name])
            table = RowTable.of(cells, self._layouts[name].keys)
            log = _fitted(sample.log, layout.log, self._logged[name])
            return replace(sample, rows=table, log=tuple(log))
        rows = _fitted(list(sample.rows.values()), layout.names, self._stored[name])
        key, keys = key_of(self._layouts[name].keys), self._keys[name]
        log = _fitted(sample.log, layout.log, self._logged[name])
        if keys <= {*layout.names}:
            return replace(sample, rows={key(row): row for row in rows}, log=tuple(log))
        # What tells rows apart here was not written: they are told apart as they were there.
        return replace(sample, rows=dict(zip(sample.rows, rows, strict=False)), log=tuple(log))


def _fitted(
    rows: Sequence[Row], names: Sequence[str], wanted: Sequence[tuple[str, Types]]
) -> list[Row]:
    if not rows or not wanted:
        return []
    there = dict(zip(names, zip(*rows, strict=True), strict=True))
    columns = [_column(there.get(name), types) for name, types in wanted]
    return list(zip(*columns, strict=False)) if any(c is not _MISSING for c in columns) else []


_MISSING: Iterable[Value] = repeat(None)


def _column(values: Sequence[Value] | None, types: Types) -> Iterable[Value]:
    if values is None:
        return _MISSING
    if types.issuperset(map(type, values)):
        return values
    return [value if type(value) in types else None for value in values]


def _typed(table: RowTable, wanted: Sequence[tuple[str, Types]]) -> bool:
    pairs = zip(table.cells, wanted, strict=False)
    return all(_types_in(cells) <= types for cells, (_, types) in pairs)


def _types_in(cells: Cells) -> Types:
    none = frozenset({_NONE}) if cells.known is not None else frozenset[type]()
    if isinstance(cells, NumberCells):
        return none | {float if cells.raw.dtype.kind == "f" else int}
    return none | ({tuple} if isinstance(cells, TupleCells) else set(map(type, cells.values())))


def _fitted_cells(
    table: RowTable, names: Sequence[str], wanted: Sequence[tuple[str, Types]]
) -> list[Cells]:
    there = dict(zip(names, table.cells, strict=True))
    return [
        _column_of(there[name], types) if name in there else nothing(len(table))
        for name, types in wanted
    ]


def _column_of(cells: Cells, types: Types) -> Cells:
    if _types_in(cells) <= types:
        return cells
    return cells_of([value if type(value) in types else None for value in cells.values()])
