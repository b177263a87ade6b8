"""Programs: every BPF program on the host, its owner, place and cost; read while shown."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import itemgetter

from probes import units
from probes.analysis.history import Figure
from probes.analysis.many import SomeRows, rows_of
from probes.analysis.snapshot import Snapshot
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import FEW, np
from probes.columns.cells import NumberCells
from probes.columns.lexicon import Lexicon, Part
from probes.model import Hook, HookId, State, Value
from probes.units import Unit
from tui.session.view import View
from tui.table.fields import Field, TableRow, label, of, rate_of, values_of
from tui.table.lines import Line, fit, line, width_of, wrap
from tui.table.many_records import MARKS, ManyRecords
from tui.table.snapshot_rows import SnapshotRows
from tui.toolkit import related
from tui.toolkit.detail import counters, graphs, heading, pairs
from tui.toolkit.pane import Pane, Trouble

_ID = HookId("programs")
_RUNS, _MISSED = rate_of("runs"), rate_of("missed")
_OF_A_CPU = 1e7
"""Nanoseconds a second that are a percent of a CPU."""
_DEAR = 5.0
"""Percent of a CPU from which a program is marked."""


def _cpu(row: SnapshotRow) -> float | None:
    """Return its share of a CPU since the previous reading: 1 ns a second is 1e-7 percent."""
    spent = row.rates["run_ns"]
    return None if spent is None else spent / _OF_A_CPU


_LEXICON = Lexicon(Part("name", lambda name: f"{name}#"), Part("id"))


def _records(view: View) -> Sequence[TableRow]:
    return view.once(_made)


def _made(view: View) -> Sequence[TableRow]:
    rows = rows_of(view, "programs")
    if len(rows) <= FEW:
        return [_record(row) for row in rows]
    columns = SnapshotRows(view.catalogue["programs"], rows)
    spent = columns.column(rate_of("run_ns"))
    assert isinstance(spent, NumberCells)
    marks = np.zeros(len(rows), "u1")
    marks[[place for place, _ in view.once_read(_marked, "programs")]] = MARKS.index("warn")
    return ManyRecords(
        columns,
        _LEXICON,
        lambda place: _record(rows[place]),
        own={"cpu": NumberCells(spent.raw / _OF_A_CPU, spent.known)},
        marks=marks,
    )


def _marked(view: View) -> list[tuple[int, float]]:
    """Return the places of programs that have a mark, and their share of a CPU."""
    rows = SomeRows.of(rows_of(view, "programs"), _LEXICON)
    spent = [ns / _OF_A_CPU for ns in rows.rates("run_ns")]
    missed = rows.rates("missed")
    return [(n, cpu) for n, cpu in enumerate(spent) if cpu >= _DEAR or missed[n] > 0]


def _record(row: SnapshotRow) -> TableRow:
    values: dict[str, Value] = values_of(row)
    values["cpu"] = _cpu(row)
    missed = row.rate("missed") > 0
    dear = (values["cpu"] or 0) >= _DEAR  # type: ignore[operator]
    return TableRow(
        row.key, f"{row['name']}#{row['id']}", values, "warn" if dear or missed else "", row
    )


def _trouble(view: View) -> Trouble | None:
    status = view.status(_ID)
    if status.state is State.PASSIVE and status.refused:
        why = label(status.refused[0].why)
        return Trouble("warn", f"only ebpftop's own programs: {why}")
    marked = view.once_read(_marked, "programs")
    if not marked:
        return None
    worst = _record(rows_of(view, "programs")[max(marked, key=itemgetter(1))[0]])
    held = related.held_by(worst).partition(", ")[0]
    whose = f" ({held})" if held else ""
    spent = f"{units.percent(worst.number('cpu'))} of a CPU"
    missed = worst.number(_MISSED)
    runs = units.count(missed)
    not_run = f", {runs} missed {'run' if runs == '1' else 'runs'}/s" if missed else ""
    others = f"  (and {len(marked) - 1} more)" if len(marked) > 1 else ""
    at = f" at {worst.text('attached_to')}" if worst.values["attached_to"] else ""
    return Trouble("warn", label(f"{worst.name}{at} takes {spent}{not_run}{whose}{others}"))


def _summary(view: View) -> tuple[str, str]:
    if view.snapshots.get(_ID) is None:
        return "programs: reading...", "muted"
    rows = SomeRows.of(rows_of(view, "programs"), _LEXICON)
    ours = rows.values("ours").count("yes")
    spent = units.percent(sum([ns / _OF_A_CPU for ns in rows.rates("run_ns")]))
    memory = units.octets(sum(rows.numbers("memory")))
    return f"{len(rows)} programs, {ours} of them ours: {spent} of a CPU, {memory} of code", "muted"


def _detail(view: View, record: TableRow, width: int) -> list[Line]:
    v = record.values
    kept = (
        f"{units.show(v['memory'], Unit.BYTES)}, its maps {units.show(v['map_memory'], Unit.BYTES)}"
    )
    code = (
        f"{units.show(v['instructions'], Unit.NUMBER)}, {units.show(v['jited'], Unit.BYTES)} jited"
    )
    lines = pairs(
        [
            ("Program", f"{record.text('name')}, id {v['id']}, tag {v['tag']}"),
            ("Type", v["type"]),
            ("Loaded", f"{units.duration(record.number('age'))} ago, by user {v['uid']}"),
            ("Ours", v["ours"] or "no"),
            ("Memory", kept),
            ("Instructions", code),
        ],
        width,
    )
    for title, text, none in (
        ("Attached to", record.text("attached_to"), "no place that the kernel reports"),
        ("Held by", related.held_by(record), "no visible process or pin; its attachment holds it"),
        ("Maps", record.text("maps"), "none"),
    ):
        lines += heading(title)
        lines += _listed(text, width) or [line((f"  {none}", "muted"))]
    lines += graphs(PANE, view, record, width)
    return [*lines, *heading("Counts"), *counters(view.catalogue["programs"], record, view.bits)]


def _listed(text: str, width: int) -> list[Line]:
    """List items one per line, as there may be many."""
    return [
        line(f"  {row}")
        for part in text.split(", ")
        if part
        for row in wrap(label(part), max(width - 4, 20))
    ]


def _figure(what: str, snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    if what == "runs":
        return {key: rate for s in snapshots for key, rate in s.rates("runs").items()}
    return {key: value for s in snapshots for key, value in _figures(what, s)}


def _figures(what: str, snapshot: Snapshot) -> Iterator[tuple[Hashable, float | None]]:
    spent = snapshot.per_s("run_ns")
    if what == "cpu":
        made = [None if ns is None else ns / _OF_A_CPU for ns in spent]
    else:
        pairs = zip(snapshot.per_s("watched_runs"), spent, strict=True)
        made = [ns / runs if runs and ns is not None else None for runs, ns in pairs]
    return zip(snapshot.keys, made, strict=True)


def _mark(record: TableRow) -> str:
    return record.mark


def _whose(record: TableRow) -> str:
    return "accent" if record.values.get("ours") else ""


def _held_by(record: TableRow, width: int) -> str:
    """Return who holds it, without pids where not even the first one's fits."""
    held = related.held_by(record)
    fits = width_of(held.partition(", ")[0]) <= width
    return fit(held if fits else related.without_pids(held), width)


def _fields(catalogue: Mapping[str, Hook]) -> tuple[Field, ...]:
    hook = catalogue["programs"]
    return (
        Field("cpu", "CPU", Unit.PERCENT, 6, 0, 8, "share of one CPU", _mark),
        of(hook, "runs", title="Runs/s", width=7, rank=1, grow=9),
        of(hook, "ns_per_run", width=7, rank=2, grow=9),
        of(hook, "id", width=5, rank=7),
        of(hook, "type", width=10, rank=3, grow=16),
        of(hook, "name", width=14, rank=0, grow=24, colour=_whose),
        of(hook, "attached_to", width=16, rank=1, grow=40),
        of(hook, "map_memory", title="Maps", width=7, rank=5),
        of(hook, "age", width=6, rank=6),
        of(hook, "missed", title="Miss/s", width=7, rank=8, colour=_mark),
        replace(of(hook, "held_by", title="Held by", width=11, rank=2, grow=40),
                drawn=_held_by),
        )  # fmt: skip


PANE = Pane(
    name="programs",
    title="Programs",
    short="Progs",
    order=55,
    hooks=("programs",),
    fields=_fields,
    sort="cpu",
    records=_records,
    trouble=_trouble,
    detail=_detail,
    figures=(
        Figure("program-cpu", "CPU", Unit.PERCENT, "programs", partial(_figure, "cpu")),
        Figure("program-runs", "runs/s", Unit.COUNT, "programs", partial(_figure, "runs")),
        Figure("program-ns", "ns/run", Unit.NS, "programs", partial(_figure, "ns")),
    ),
    while_shown=lambda _: _ID,
    summary=_summary,
    empty="no BPF program is loaded on this host",
)
