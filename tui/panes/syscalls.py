"""Syscalls: which are made, which fail and how, which stall; by process in the detail."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from statistics import median

from probes import units
from probes.model import Hook, HookId, State
from probes.snapshot import Snapshot, SnapshotRow
from probes.units import Unit
from tui.detail import graphs, heading, pairs, spread
from tui.fields import Field, Record, label, of, rate_of, values_of
from tui.history import Figure
from tui.lines import Line, fit, line
from tui.pane import Pane, Trouble
from tui.view import View

_CALLS, _ERRORS = rate_of("calls"), rate_of("errors")
_USUAL = frozenset({"EAGAIN", "EINPROGRESS", "EINTR", "ENOTTY"})
"""Errnos that mean nothing is wrong, however many."""
_LEAST = 5.0
"""Errors a second below which nothing is marked."""
_TIMES, _TICKS = 3, 15
"""Marked: so many times what it was in the middle of the last minutes, once so many are known."""


def _rates(column: str, snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    return {r.key: r.rates[column] for s in snapshots for r in s.rows}


def _values(column: str, snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    return {
        r.key: v if isinstance(v := r[column], int | float) else None
        for s in snapshots
        for r in s.rows
    }


_FAILURES = Figure(
    "syscall-errors", "errors/s", Unit.COUNT, "syscalls", partial(_rates, "errors"), wrong=True
)


def _records(view: View) -> list[Record]:
    return [_record(view, row) for row in view.rows("syscalls")]


def _record(view: View, row: SnapshotRow) -> Record:
    values = values_of(row)
    calls = row.rate("calls")
    values["share"] = row.rate("errors") / calls * 100 if calls else None
    return Record(row.key, str(row["syscall"]), values, _mark(view, row), row)


def _mark(view: View, row: SnapshotRow) -> str:
    errors = row.rate("errors")
    if errors < _LEAST:
        return ""
    before = [v for v in view.series(_FAILURES, row.key)[:-1] if v is not None]
    if len(before) >= _TICKS:
        return "bad" if errors > _TIMES * max(median(before), 1) else ""
    return "bad" if errors > row.rate("calls") / 3 and row["top_errno"] not in _USUAL else ""


def _trouble(view: View) -> Trouble | None:
    marked = [_record(view, row) for row in view.rows("syscalls") if _mark(view, row)]
    bad = sorted(marked, key=lambda r: -r.number(_ERRORS))
    if not bad:
        return None
    said = [
        f"{label(r.name)}: {units.count(r.number(_ERRORS))} errors/s "
        f"({units.percent(r.number('share'))}), mostly {label(r.text('top_errno'))}"
        for r in bad[:2]
    ]
    return Trouble("bad", "; ".join(said))


def _detail(view: View, record: Record, width: int) -> list[Line]:
    lines = pairs(
        [
            ("Calls", f"{units.count(record.number(_CALLS))}/s"),
            (
                "Errors",
                f"{units.count(record.number(_ERRORS))}/s, mostly {record.text('top_errno')}",
            ),
            ("Mean, p99", f"{_time(record, 'mean_ns')}, {_time(record, 'p99_ns')} (last 10 s)"),
        ]
    )
    lines += _by_process(view, record)
    lines += graphs(PANE, view, record, width)
    lines += spread("Time in the call", record, "latency", width, units.duration, view)
    return lines


def _time(record: Record, name: str) -> str:
    value = record.values.get(name)
    return units.duration(value if isinstance(value, int | float) else None)


def _by_process(view: View, record: Record) -> list[Line]:
    id = HookId("syscall-processes", record.name)
    status, snapshot = view.status(id), view.snapshots.get(id)
    lines = heading("By process")
    if snapshot is None:
        words = status.refused[-1].why if status.state is State.FAILED else "attaching..."
        return [*lines, line((f"  {label(words)}", "muted"))]
    head = f"  {'Pid':>7} {'Command':16}{'Calls/s':>9}{'Errors/s':>10}{'Mean':>9}{'p99':>9}"
    lines.append(line((head, "header")))
    for row in sorted(snapshot.rows, key=lambda r: -r.rate("calls"))[:20]:
        errors = row.rate("errors")
        r = Record(row.key, str(row["comm"]), row.values)
        lines.append(
            line(
                f"  {units.show(row['pid'], Unit.NUMBER):>7} ",
                fit(label(row["comm"]), 16),
                f"{units.count(row.rates['calls']):>9}",
                (f"{units.count(row.rates['errors']):>10}", "warn" if errors else "muted"),
                f"{_time(r, 'mean_ns'):>9}{_time(r, 'p99_ns'):>9}",
            )
        )
    return lines


def _errors(record: Record) -> str:
    return record.mark


def _fields(catalogue: Mapping[str, Hook]) -> tuple[Field, ...]:
    hook = catalogue["syscalls"]
    return (
        of(hook, "syscall", width=16, rank=0, grow=24),
        of(hook, "calls", width=9, rank=1, grow=11),
        of(hook, "errors", width=10, rank=1, grow=11, colour=_errors),
        Field("share", "Fail", Unit.PERCENT, 7, 3, 8, "share of the calls that fail", _errors),
        of(hook, "mean_ns", width=8, rank=2, grow=10),
        of(hook, "p99_ns", width=8, rank=2, grow=10),
        of(hook, "top_errno", width=12, rank=2, colour=_errors),
        )  # fmt: skip


PANE = Pane(
    name="syscalls",
    title="Syscalls",
    order=20,
    hooks=("syscalls", "syscall-processes"),
    fields=_fields,
    sort=_CALLS,
    records=_records,
    trouble=_trouble,
    detail=_detail,
    figures=(
        Figure("syscall-calls", "calls/s", Unit.COUNT, "syscalls", partial(_rates, "calls")),
        _FAILURES,
        Figure("syscall-p99", "p99", Unit.NS, "syscalls", partial(_values, "p99_ns")),
    ),
    while_open=lambda record: HookId("syscall-processes", record.name),
)
