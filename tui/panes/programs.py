"""Programs: every BPF program on the host, its owner, place and cost; read while shown."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial

from probes import units
from probes.analysis.history import Figure
from probes.analysis.snapshot import Snapshot
from probes.analysis.snapshot_row import SnapshotRow
from probes.model import Hook, HookId, State, Value
from probes.units import Unit
from tui.session.view import View
from tui.table.fields import Field, TableRow, label, of, rate_of, values_of
from tui.table.lines import Line, line, wrap
from tui.toolkit.detail import counters, graphs, heading, pairs
from tui.toolkit.pane import Pane, Trouble

_ID = HookId("programs")
_RUNS, _MISSED = rate_of("runs"), rate_of("missed")
_DEAR = 5.0
"""Percent of a CPU from which a program is marked."""


def _cpu(row: SnapshotRow) -> float | None:
    """Return its share of a CPU since the previous reading: 1 ns a second is 1e-7 percent."""
    spent = row.rates["run_ns"]
    return None if spent is None else spent / 1e7


def _ns(row: SnapshotRow) -> float | None:
    runs, spent = row.rates["watched_runs"], row.rates["run_ns"]
    return spent / runs if runs and spent is not None else None


def _records(view: View) -> list[TableRow]:
    return [_record(row) for row in view.rows("programs")]


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
    marked = [r for r in _records(view) if r.mark]
    if not marked:
        return None
    worst = max(marked, key=lambda r: r.number("cpu"))
    whose = f" ({worst.text('held_by').partition(', ')[0]})" if worst.values["held_by"] else ""
    spent = f"{units.percent(worst.number('cpu'))} of a CPU"
    missed = worst.number(_MISSED)
    left_out = f", {units.count(missed)} runs/s left out" if missed else ""
    others = f"  (and {len(marked) - 1} more)" if len(marked) > 1 else ""
    at = f" at {worst.text('attached_to')}" if worst.values["attached_to"] else ""
    return Trouble("warn", label(f"{worst.name}{at} takes {spent}{left_out}{whose}{others}"))


def _summary(view: View) -> tuple[str, str]:
    rows = view.rows("programs")
    if view.snapshots.get(_ID) is None:
        return "programs: reading...", "muted"
    ours = sum(row["ours"] == "yes" for row in rows)
    spent = units.percent(sum(_cpu(row) or 0 for row in rows))
    memory = units.octets(sum(row.number("memory") for row in rows))
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
    for title, name, none in (
        ("Attached to", "attached_to", "no place that the kernel reports"),
        ("Held by", "held_by", "no visible process or pin; its attachment holds it"),
        ("Maps", "maps", "none"),
    ):
        lines += heading(title)
        lines += _listed(record.text(name), width) or [line((f"  {none}", "muted"))]
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
    rows = [row for s in snapshots for row in s.rows]
    if what == "runs":
        return {row.key: row.rates["runs"] for row in rows}
    value = _cpu if what == "cpu" else _ns
    return {row.key: value(row) for row in rows}


def _mark(record: TableRow) -> str:
    return record.mark


def _whose(record: TableRow) -> str:
    return "accent" if record.values.get("ours") else ""


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
        of(hook, "held_by", title="Held by", width=11, rank=2, grow=40),
        )  # fmt: skip


PANE = Pane(
    name="programs",
    title="Programs",
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
