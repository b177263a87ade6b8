"""More: the rows of custom hooks, and of all others without a pane."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import accumulate

from probes import units
from probes.analysis.history import Figure
from probes.analysis.many import SomeRows
from probes.analysis.snapshot import Snapshot
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import FEW, np
from probes.columns.cells import (
    Cells,
    CodedCells,
    NumberCells,
    ObjectCells,
    cells_of,
    joined,
    nothing,
)
from probes.columns.lexicon import Lexicon, Part
from probes.model import Column, Hook, HookId, Kind, State
from probes.units import DASH, Unit, printable, show
from tui.panes import inner_panes, panes
from tui.session.view import View, clock
from tui.table.fields import Field, TableRow, coloured, label, rate_of
from tui.table.lines import Line, fit, line
from tui.table.many_records import ManyRecords
from tui.table.snapshot_rows import SnapshotRows
from tui.toolkit.detail import counters, graphs, heading, pairs, spread
from tui.toolkit.owner import OWNER, owner_fields, owner_of
from tui.toolkit.pane import EVERY, Pane, Trouble

_STANDING = (State.ATTACHED, State.PASSIVE)
_FAILED = rate_of("failed")
_NAME = "record"
"""A column that only sorts: who, or the hook's id if there is no row yet."""
_LEXICON = Lexicon(Part(_NAME))
HOW = "--attach kprobe:vfs_read, tracepoint:..., uprobe:...; or press a in the hooks pane"


def _elsewhere(catalogue: Mapping[str, Hook]) -> set[str]:
    """Return the hooks that have a pane."""
    shown = (*panes(catalogue), *inner_panes(catalogue).values())
    return {hook for pane in shown for hook in pane.hooks if hook != EVERY}


def _snapshots(view: View) -> list[Snapshot]:
    elsewhere = _elsewhere(view.catalogue)
    return [s for id, s in view.snapshots.items() if id.hook not in elsewhere]


def _records(view: View) -> Sequence[TableRow]:
    return view.once(_made)


def _made(view: View) -> Sequence[TableRow]:
    snapshots = _snapshots(view)
    if sum([len(snapshot.rows) for snapshot in snapshots]) <= FEW:
        return [record for snapshot in snapshots for record in _of_hook(snapshot)]
    parts = [_Section(s) for s in snapshots if s.status.state in _STANDING]
    rows = _Joined(parts)
    failing = rows.column(_FAILED)
    assert failing is not None
    marks = np.where(failing.flags() & (failing.raw > 0), 2, 0).astype("u1")
    return ManyRecords(rows, _LEXICON, rows.record, marks=marks)


class _Section:
    """The rows of a hook; one for the hook itself if there is no row yet."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.rows = SnapshotRows.of(snapshot)
        self.number = len(snapshot.rows) or 1
        self._counter = _counter(snapshot.hook)

    def column(self, name: str) -> Cells | None:
        """Return a column of the pane; None if the hook has none of that name."""
        hook, there = self.snapshot.hook, len(self.rows) > 0
        if name == "hook":
            return cells_of([_short(self.snapshot.id)] * self.number)
        if name == _NAME and not there:
            return cells_of([str(self.snapshot.id)])
        if name in ("who", _NAME) and there:
            return self._who(hook)
        if name in ("rate", "total"):
            counter = self._counter.name if self._counter is not None else ""
            name = counter if name == "total" else rate_of(counter)
        return self.rows.column(name) if there else None

    def _who(self, hook: Hook) -> Cells:
        if any(column.name == "stack" for column in _telling(hook)):
            return cells_of([_who(hook, row) for row in self.rows.rows])
        texts = [self._texts(column) for column in _telling(hook)]
        return cells_of(list(map("  ".join, zip(*texts, strict=True))) or [""] * self.number)

    def _texts(self, column: Column) -> list[str]:
        """Return what `show` makes of each value, without a call for each."""
        cells = self.rows.column(column.name)
        assert cells is not None
        if isinstance(cells, NumberCells) and column.unit is Unit.NUMBER:
            return [DASH if value is None else str(value) for value in cells.values()]
        if isinstance(cells, CodedCells | ObjectCells) and cells.space is not None:
            words = _LEXICON.column(column.name, cells)
            texts = np.array(list(map(printable, words.texts.tolist())), object)
            return _dashed(texts[words.places].tolist(), cells)
        return [show(value, column.unit) for value in cells.values()]


def _dashed(texts: list[str], cells: Cells) -> list[str]:
    """Put a dash where there is no value."""
    unknown = ~cells.flags()
    if isinstance(cells, ObjectCells):
        unknown |= np.array([value is None for value in cells.raw.tolist()], bool)
    for place in np.flatnonzero(unknown).tolist():
        texts[place] = DASH
    return texts


class _Joined:
    """The rows of several hooks, one after the other."""

    def __init__(self, parts: Sequence[_Section]) -> None:
        self._parts = parts
        self._begins = [0, *accumulate(part.number for part in parts)]
        self._columns: dict[str, Cells] = {}

    def __len__(self) -> int:
        return self._begins[-1]

    def column(self, name: str) -> Cells | None:
        """Return a column of all hooks, None where one has none of that name."""
        if name not in self._columns:
            found = [part.column(name) or nothing(part.number) for part in self._parts]
            self._columns[name] = reduce(joined, found)
        return self._columns[name]

    def _find(self, place: int) -> tuple[_Section, int]:
        n = bisect_right(self._begins, place) - 1
        return self._parts[n], place - self._begins[n]

    def key(self, place: int) -> Hashable:
        """Return the key of a record."""
        part, at = self._find(place)
        return part.snapshot.id, part.rows.key(at) if len(part.rows) else ()

    def place(self, key: object) -> int | None:
        """Return the place of a record; None if it is not there."""
        for begin, part in zip(self._begins, self._parts, strict=False):
            if isinstance(key, tuple) and len(key) == 2 and key[0] == part.snapshot.id:
                at = part.rows.place(key[1]) if len(part.rows) else 0
                return None if at is None else begin + at
        return None

    def record(self, place: int) -> TableRow:
        """Return the record at a place."""
        part, at = self._find(place)
        return _record(part.snapshot, part.rows.rows[at] if len(part.rows) else None)


def _of_hook(snapshot: Snapshot) -> Iterator[TableRow]:
    """Yield a record for each row; one for the hook itself if there is no row yet."""
    if snapshot.status.state in _STANDING:
        for row in snapshot.rows or (None,):
            yield _record(snapshot, row)


def _record(snapshot: Snapshot, row: SnapshotRow | None) -> TableRow:
    hook = snapshot.hook
    if row is None:
        return TableRow((snapshot.id, ()), str(snapshot.id), {"hook": _short(snapshot.id)})
    counter, who = _counter(hook), _who(hook, row)
    values = {
        **row.values,
        **{rate_of(n): r for n, r in row.rates.items()},
        "hook": _short(snapshot.id),
        "who": who,
        "rate": row.rates.get(counter.name) if counter else None,
        "total": row[counter.name] if counter else None,
    }
    mark = "bad" if row.rate("failed") > 0 else ""
    return TableRow((snapshot.id, row.key), who, values, mark, row)


def _short(id: HookId) -> str:
    """Return the hook's id without the directories of a path."""
    return re.sub(r":/(?:[^:]*/)?", ":", str(id))


def _counter(hook: Hook) -> Column | None:
    """Return the first visible counter."""
    shown = (c for c in hook.columns if c.kind is Kind.COUNTER and not c.hidden)
    return next(shown, None)


def _who(hook: Hook, row: SnapshotRow) -> str:
    """Return what distinguishes the row; of a stack, the innermost calls first."""
    parts = [
        " < ".join(reversed(str(row[c.name]).split(";")))
        if c.name == "stack"
        else show(row[c.name], c.unit)
        for c in _telling(hook)
    ]
    return "  ".join(parts)


def _telling(hook: Hook) -> list[Column]:
    """Return the columns that distinguish rows; if a key is hidden (a cgroup's id), levels, too."""
    keys = [c for c in hook.columns if c.kind is Kind.KEY]
    kinds = {Kind.KEY, Kind.LEVEL} if any(c.hidden for c in keys) else {Kind.KEY}
    units = (Unit.TEXT, Unit.NUMBER)
    telling = [c for c in hook.columns if not c.hidden and c.kind in kinds and c.unit in units]
    return [c for c in telling if c.name not in OWNER]


def _trouble(view: View) -> Trouble | None:
    failing = [found for s in _snapshots(view) if (found := _worst_of(s)) is not None]
    if not failing:
        return None
    snapshot, worst = max(failing, key=lambda pair: pair[1].rate("failed"))
    said = f"{snapshot.id}: {units.count(worst.rate('failed'))} failures/s"
    return Trouble("warn", f"{label(said)} ({label(_who(snapshot.hook, worst))})")


def _worst_of(snapshot: Snapshot) -> tuple[Snapshot, SnapshotRow] | None:
    """Return the row that fails most often; None if none does."""
    if all(name != "failed" for _, name in snapshot.hook.places.counters):
        return None
    rows = SomeRows.of(snapshot.rows, _LEXICON)
    rates = rows.rates("failed")
    worst = rows.first(1, rates)
    return (snapshot, worst[0]) if worst and worst[0].rate("failed") > 0 else None


def _detail(view: View, record: TableRow, width: int) -> list[Line]:
    id, hook = _id(record), view.catalogue.get(_id(record).hook)
    if hook is None:
        return [line(("this hook is gone", "muted"))]
    known = [
        (c.title, show(record.values.get(c.name), c.unit))
        for c in _telling(hook)
        if c.name != "stack"
    ]
    status = view.status(id)
    lines = pairs([("Hook", id), ("Question", hook.question), ("Rung", status.rung), *known], width)
    lines += pairs(owner_of(record), width)
    if status.note:
        lines += pairs([("Note", status.note)], width)
    if stack := record.text("stack"):
        lines += heading("Called by, innermost first")
        lines += [line(("  ", ""), label(call)) for call in reversed(stack.split(";"))]
    lines += [*heading("Counted"), *counters(hook, record, view.bits)]
    lines += graphs(PANE, view, record, width)
    for column in hook.stored:
        if column.kind is Kind.HISTOGRAM:
            lines += spread(
                column.title, hook.name, record, column.name, width, units.duration, view
            )
    return lines


def _id(record: TableRow) -> HookId:
    key = record.key
    assert isinstance(key, tuple)
    assert isinstance(key[0], HookId)
    return key[0]


def _below(view: View, width: int, height: int) -> list[Line]:
    """Return the latest entries of these hooks' logs, newest first."""
    elsewhere = _elsewhere(view.catalogue)
    entries = [
        (decided, hook)
        for hook, log in view.decided.items()
        if hook not in elsewhere
        for decided in list(log)[-height:]
    ]
    entries.sort(key=lambda entry: entry[0].time, reverse=True)
    return [_entry(view.catalogue[hook], d.wall, d.row, width) for d, hook in entries[:height]]


def _entry(hook: Hook, wall: float, row: Sequence[object], width: int) -> Line:
    cells = [
        fit(show(value, c.unit), c.width, right=c.unit is not Unit.TEXT)
        for c, value in zip(hook.log, row, strict=True)
    ]
    return line((f"  {clock(wall)} ", "muted"), fit(" ".join(cells), max(width - 12, 20)))


def _rates(snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    """Return events a second by hook, for hooks attached on demand, as custom hooks are."""
    made: dict[Hashable, float | None] = {}
    for snapshot in snapshots:
        counter = _counter(snapshot.hook) if snapshot.hook.on_demand else None
        if counter is not None:
            made[snapshot.id] = snapshot.rate_of_all(counter.name)
    return made


_FIELDS = (
    Field("hook", "Hook", Unit.TEXT, 22, 1, 44, "the hook that counts it"),
    Field("who", "Who", Unit.TEXT, 24, 0, 100, "what identifies the row"),
    Field("rate", "Per s", Unit.COUNT, 8, 0, 10, "its count per second"),
    Field("total", "Total", Unit.COUNT, 8, 2, 10, "its count since attach"),
    Field(
        _FAILED, "Fail/s", Unit.COUNT, 8, 2, 0, "failures per second", coloured("bad", 0, _FAILED)
    ),
    Field("mean_ns", "Mean", Unit.NS, 8, 3, 0, "mean time, last 10 s"),
    Field("p99_ns", "p99", Unit.NS, 8, 3, 0, "99th percentile of the time, last 10 s"),
    Field("mean_ret", "Mean ret", Unit.COUNT, 9, 4, 0, "mean return value, last 10 s"),
    *owner_fields(),
)
PANE = Pane(
    name="own",
    title="More",
    order=60,
    hooks=(EVERY,),
    fields=lambda _: _FIELDS,
    sort="rate",
    records=_records,
    trouble=_trouble,
    detail=_detail,
    figures=(Figure("own-rate", "of the hook per second", Unit.COUNT, EVERY, _rates),),
    figure_key=_id,
    below=_below,
    below_title="Latest",
    hook_of=_id,
    empty=f"nothing yet; to add a custom hook: {HOW}",
)
