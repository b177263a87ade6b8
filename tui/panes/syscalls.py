"""Syscalls: which are called, which fail and how, which stall; by process in the detail."""

from __future__ import annotations

from collections.abc import Mapping

from probes import units
from probes.analysis.anomaly import CALM, Verdict
from probes.analysis.by_row import ByRow
from probes.analysis.cases.detectors.calls import calls
from probes.analysis.cases.detectors.calls.failing import ERRORS
from probes.analysis.cases.detectors.calls.stalling import SLOW
from probes.analysis.failing_calls import failing_call
from probes.analysis.history import Figure
from probes.analysis.many import SomeRows
from probes.analysis.slow_calls import WAITING
from probes.analysis.snapshot_row import SnapshotRow
from probes.columns.lexicon import Lexicon
from probes.model import Hook, HookId, State
from probes.units import Unit
from tui.session.view import View
from tui.table.fields import Field, TableRow, label, of, rate_of, values_of
from tui.table.lines import Line, fit, line
from tui.table.many_records import MARKS
from tui.toolkit import related
from tui.toolkit.anomaly_column import mark_of, noted, said, unusual_field
from tui.toolkit.claimed import trouble_of
from tui.toolkit.detail import graphs, heading, pairs, spread
from tui.toolkit.pane import Busiest, Pane, Trouble

_CALLS, _ERRORS = rate_of("calls"), rate_of("errors")
_LEXICON = Lexicon()


def _records(view: View) -> list[TableRow]:
    return view.once(_made)


def _made(view: View) -> list[TableRow]:
    return [_record(view, row) for row in view.rows("syscalls")]


def _record(view: View, row: SnapshotRow) -> TableRow:
    values = values_of(row)
    made = row.rate("calls")
    values["share"] = row.rate("errors") / made * 100 if made else None
    failing, slow = _verdicts(view, row)
    mark = MARKS[calls(view).marks.get(row.key, 0)]
    instead = ("many calls fail", "many fail") if mark == "bad" else ("", "")
    values |= noted(slow if failing.since is None else failing, instead)
    return TableRow(row.key, str(row["syscall"]), values, mark, row)


def _verdicts(view: View, row: SnapshotRow) -> tuple[Verdict, Verdict]:
    """Return the verdicts on its errors and its duration."""
    slow = CALM if row["syscall"] in WAITING else view.verdict(SLOW, row.key)
    return view.verdict(ERRORS, row.key), slow


def _busiest(view: View) -> Busiest | None:
    """Return the call that fails most, whether or not that is ordinary."""
    row = max(view.rows("syscalls"), key=_weight, default=None)
    if row is None or not row.rate("errors"):
        return None
    errors = row.rate("errors")
    now, why = f"{units.count(errors)}/s", f"{_share(row)} of its calls"
    what = f"{row['syscall']} fails most often"
    return Busiest(_record(view, row), what, ERRORS, row.key, errors, now, why)


def _weight(row: SnapshotRow) -> float:
    """Return how bad it is; ordinary answers come after all that failed."""
    return row.rate("failures") + 1e-6 * row.rate("errors")


def _share(row: SnapshotRow) -> str:
    """Return the errno that tells most, and its share: "EMFILE 38%"."""
    found = failing_call(row)
    if found.errno:
        return f"{found.errno} {units.percent(100 * found.by_errno)}"
    errors, made, percent = row.rate("errors"), row.rate("calls"), row["top_share"]
    most = errors * (percent / 100 if isinstance(percent, int | float) else 1)
    return f"{row['top_errno']} {units.percent(100 * most / made if made else None)}"


def _trouble(view: View) -> Trouble | None:
    return trouble_of(calls(view).claims)


def _detail(view: View, record: TableRow, width: int) -> list[Line]:
    lines = pairs(
        [
            ("Calls", f"{units.count(record.number(_CALLS))}/s"),
            (
                "Errors",
                _errors(record),
            ),
            *_told(record),
            ("Mean, p99", f"{_time(record, 'mean_ns')}, {_time(record, 'p99_ns')} (last 10 s)"),
            *said(record),
        ]
    )
    lines += _by_process(view, record)
    lines += _of_callers(view, record, width)
    lines += graphs(PANE, view, record, width)
    lines += spread("Time in the call", "syscalls", record, "latency", width, units.duration, view)
    return lines


def _told(record: TableRow) -> list[tuple[str, str]]:
    """Return what the worst errno means, how much of the calls it is, and what to look at."""
    if record.row is None:
        return []
    found = failing_call(record.row)
    if not found.errno:
        return []
    meaning = found.meaning
    told = [("Worst", f"{label(_share(record.row))} of its calls. {meaning.sentence}")]
    look = f"sysctl {meaning.knob}" if meaning.knob else meaning.next
    return [*told, ("Look at", look)] if look else told


def _errors(record: TableRow) -> str:
    """Return the rate of errors, and the errno of most of them if there was any."""
    rate = f"{units.count(record.number(_ERRORS))}/s"
    return rate if record.text("top_errno") in ("", units.DASH) else f"{rate}, {_named(record)}"


def _named(record: TableRow) -> str:
    """Name the most frequent errno of the last ten seconds, with its share if there are others."""
    errno, share = label(record.text("top_errno")), record.values.get("top_share")
    if not isinstance(share, int | float) or share >= 100:
        return f"mostly {errno}"
    return f"mostly {errno} ({units.percent(share)} of them)"


def _time(record: TableRow, name: str) -> str:
    value = record.values.get(name)
    return units.duration(value if isinstance(value, int | float) else None)


def _of_callers(view: View, record: TableRow, width: int) -> list[Line]:
    """List connects and connections of the process with most calls."""
    snapshot = view.snapshots.get(HookId("syscall-processes", record.name))
    rows = SomeRows.of(snapshot.rows if snapshot else (), _LEXICON)
    first = rows.first(1, rows.rates("errors"), rows.rates("calls"))
    if not first:
        return []
    (most,) = first
    whose, mine = f"{most['comm']} (pid {most['pid']})", related.of_process(most["pid"])
    lines = related.connects(view, mine, whose, width)
    return [*lines, *related.trips(view, mine, whose, width)]


def _by_process(view: View, record: TableRow) -> list[Line]:
    id = HookId("syscall-processes", record.name)
    status, snapshot = view.status(id), view.snapshots.get(id)
    lines = heading("By process")
    if snapshot is None:
        words = "its processes were not followed then" if view.past else "attaching..."
        words = status.refused[-1].why if status.state is State.FAILED else words
        return [*lines, line((f"  {label(words)}", "muted"))]
    head = f"  {'Pid':>7} {'Command':16}{'Calls/s':>9}{'Errors/s':>10}{'Mean':>9}{'p99':>9}"
    lines.append(line((head, "header")))
    rows = SomeRows.of(snapshot.rows, _LEXICON)
    for row in rows.first(20, rows.rates("calls")):
        errors = row.rate("errors")
        r = TableRow(row.key, str(row["comm"]), row.values)
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


def _fields(catalogue: Mapping[str, Hook]) -> tuple[Field, ...]:
    hook = catalogue["syscalls"]
    return (
        of(hook, "syscall", width=16, rank=0, grow=24),
        of(hook, "calls", width=9, rank=1, grow=11),
        of(hook, "errors", width=10, rank=2, grow=11, colour=mark_of),
        Field("share", "Fail", Unit.PERCENT, 7, 1, 8, "share of the calls that fail", mark_of),
        of(hook, "mean_ns", width=8, rank=3, grow=10),
        of(hook, "p99_ns", width=8, rank=2, grow=10),
        of(hook, "top_errno", width=12, rank=1, colour=mark_of),
        unusual_field(1),
        )  # fmt: skip


PANE = Pane(
    name="syscalls",
    title="Syscalls",
    short="Calls",
    order=20,
    hooks=("syscalls", "syscall-processes"),
    fields=_fields,
    sort=_CALLS,
    records=_records,
    trouble=_trouble,
    detail=_detail,
    figures=(
        Figure("syscall-calls", "calls/s", Unit.COUNT, "syscalls", ByRow("calls", rate=True)),
        ERRORS,
        SLOW,
    ),
    busiest=_busiest,
    needs=("syscalls",),
    calm="no failing calls",
    empty="no system call was made yet",
    while_open=lambda record: HookId("syscall-processes", record.name),
)
