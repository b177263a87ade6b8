"""Syscalls: which are called, which fail and how, which stall; by process in the detail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from heapq import nlargest
from typing import NamedTuple

from probes import units
from probes.analysis.anomaly import CALM, Threshold, Verdict
from probes.analysis.by_row import ByRow
from probes.analysis.failing_calls import LEAST, LEAST_GRAVE, badness, failing_call
from probes.analysis.history import Figure
from probes.analysis.many import SomeRows, near, rates_in
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
from tui.toolkit.detail import graphs, heading, pairs, spread
from tui.toolkit.pane import MOST_WORST, Pane, Trouble, Worst

_CALLS, _ERRORS = rate_of("calls"), rate_of("errors")
_LEXICON = Lexicon()
_WAIT = frozenset({
    "accept", "accept4", "clock_nanosleep", "epoll_pwait", "epoll_pwait2", "epoll_wait", "futex",
    "futex_waitv", "io_getevents", "io_uring_enter", "nanosleep", "pause", "poll", "ppoll",
    "pselect6", "read", "recvfrom", "recvmmsg", "recvmsg", "restart_syscall", "rt_sigsuspend",
    "rt_sigtimedwait", "select", "semop", "semtimedop", "wait4", "waitid", "connect", "flock",
    "fcntl", "msgrcv", "mq_timedreceive", "pread64", "readv", "preadv",
})  # fmt: skip
"""Calls that may wait for others: their duration means nothing."""


_FAILURES = Figure(
    "syscall-errors", "errors/s", Unit.COUNT, "syscalls", ByRow("errors", rate=True), wrong=True,
    rule=Threshold(LEAST),
)  # fmt: skip
_SLOW = Figure(
    "syscall-p99", "p99", Unit.NS, "syscalls", ByRow("p99_ns"),
    rule=Threshold(1e6, times=5, absent=None),
)  # fmt: skip


def _records(view: View) -> list[TableRow]:
    return view.once(_made)


def _made(view: View) -> list[TableRow]:
    return [_record(view, row) for row in view.rows("syscalls")]


def _record(view: View, row: SnapshotRow) -> TableRow:
    values = values_of(row)
    calls = row.rate("calls")
    values["share"] = row.rate("errors") / calls * 100 if calls else None
    failing, slow = _verdicts(view, row)
    mark = _mark(row, failing) or ("warn" if slow.since is not None else "")
    instead = ("many calls fail", "many fail") if mark == "bad" else ("", "")
    values |= noted(slow if failing.since is None else failing, instead)
    return TableRow(row.key, str(row["syscall"]), values, mark, row)


def _mark(row: SnapshotRow, failing: Verdict) -> str:
    """Return the mark for its errors."""
    return MARKS[badness(row, unusual=failing.since is not None)]


def _verdicts(view: View, row: SnapshotRow) -> tuple[Verdict, Verdict]:
    """Return the verdicts on its errors and its duration."""
    slow = CALM if row["syscall"] in _WAIT else view.verdict(_SLOW, row.key)
    return view.verdict(_FAILURES, row.key), slow


class _Calls(NamedTuple):
    """Calls that need a look. failing: the worst of those that fail, with the marks for that.

    slow: with their verdicts.
    """

    failing: Sequence[tuple[SnapshotRow, str]]
    slow: Sequence[tuple[SnapshotRow, Verdict]]


def _looked(view: View) -> _Calls:
    """Look at each call; most fail rarely, as usual."""
    rows = view.rows("syscalls")
    errors = rates_in(rows, "errors")
    failing, stalling = near(view, _FAILURES), near(view, _SLOW)
    marks = {
        place: mark
        for place, (row, rate) in enumerate(zip(rows, errors, strict=True))
        if (rate >= LEAST_GRAVE or row.key in failing)
        and (mark := _mark(row, view.verdict(_FAILURES, row.key)))
    }
    slow = [
        (row, verdict)
        for row in rows
        if row.key in stalling and (verdict := _verdicts(view, row)[1]).since is not None
    ]
    some = [place for place, rate in enumerate(errors) if rate]
    weights = {place: _weight(rows[place], marks.get(place, "")) for place in some}
    worst = nlargest(MOST_WORST, some, key=weights.__getitem__)
    return _Calls([(rows[place], marks.get(place, "")) for place in worst], slow)


def _worst(view: View, most: int) -> list[Worst]:
    looked = view.once_read(_looked, "syscalls")
    worst = looked.failing[:most]
    some = [one for place, one in enumerate(worst) if one[1] or not place]
    found = [_failing(view, row, mark) for row, mark in some]
    found += [_stalling(view, row, verdict) for row, verdict in looked.slow]
    return sorted(found, key=lambda f: -f.weight)[:most]


def _weight(row: SnapshotRow, mark: str) -> float:
    """Return how bad it is; greater is worse. Ordinary answers come after all that failed."""
    rate = row.rates.get("failures")
    rate = failing_call(row).rate if rate is None else rate
    return rate + 1e-6 * row.rate("errors") + 1e6 * MARKS.index(mark)


def _failing(view: View, row: SnapshotRow, mark: str) -> Worst:
    verdict, record = view.verdict(_FAILURES, row.key), replace(_record(view, row), mark=mark)
    found, errors = failing_call(row), row.rate("errors")
    callers = _callers(view, record.name)
    why = f"{_share(row)} of its calls{f', by {callers}' if callers else ''}"
    does = "fails" if found.errno else "errors"
    now = f"{units.count(found.rate if found.errno else errors)}/s"
    return Worst(record, _FAILURES, row.key, verdict, does, now, why, _weight(row, mark))


def _share(row: SnapshotRow) -> str:
    """Return the errno that tells most, and its share: "EMFILE 38%"."""
    found = failing_call(row)
    if found.errno:
        return f"{found.errno} {units.percent(100 * found.by_errno)}"
    errors, calls, percent = row.rate("errors"), row.rate("calls"), row["top_share"]
    most = errors * (percent / 100 if isinstance(percent, int | float) else 1)
    return f"{row['top_errno']} {units.percent(100 * most / calls if calls else None)}"


def _stalling(view: View, row: SnapshotRow, verdict: Verdict) -> Worst:
    record = replace(_record(view, row), mark="warn")
    why = f"slow: mean {_time(record, 'mean_ns')}, p99 {_time(record, 'p99_ns')}"
    now = units.duration(row.number("p99_ns"))
    return Worst(record, _SLOW, row.key, verdict, "takes", now, why, 1e3 * verdict.now / 1e9)


def _callers(view: View, syscall: str) -> str:
    """Name the two processes with most errors, if they are known."""
    snapshot = view.snapshots.get(HookId("syscall-processes", syscall))
    if snapshot is None:
        return ""
    rows = SomeRows.of(snapshot.rows, _LEXICON)
    worst = rows.first(2, rows.rates("errors"))
    return ", ".join([related.process(row) for row in worst if row.rate("errors")])


def _trouble(view: View) -> Trouble | None:
    looked = view.once_read(_looked, "syscalls")
    failing = [(row, mark) for row, mark in looked.failing if mark]
    if failing:
        words = [f"{label(row['syscall'])}: {_words(row)}" for row, _ in failing[:2]]
        return Trouble(failing[0][1], "; ".join(words))
    if not looked.slow:
        return None
    row, _ = max(looked.slow, key=lambda one: one[1].now)
    record = _record(view, row)
    took = f"{label(record.name)} takes {_time(record, 'p99_ns')} (p99)"
    return Trouble("warn", f"{took}, {record.text('unusual_words')}")


def _words(row: SnapshotRow) -> str:
    found = failing_call(row)
    rate = found.rate if found.errno else row.rate("errors")
    return f"{label(_share(row))} of its calls, {units.count(rate)} errors/s"


def _detail(view: View, record: TableRow, width: int) -> list[Line]:
    lines = pairs(
        [
            ("Calls", f"{units.count(record.number(_CALLS))}/s"),
            (
                "Errors",
                f"{units.count(record.number(_ERRORS))}/s, {_named(record)}",
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
        of(hook, "errors", width=10, rank=1, grow=11, colour=mark_of),
        Field("share", "Fail", Unit.PERCENT, 7, 3, 8, "share of the calls that fail", mark_of),
        of(hook, "mean_ns", width=8, rank=3, grow=10),
        of(hook, "p99_ns", width=8, rank=2, grow=10),
        of(hook, "top_errno", width=12, rank=2, colour=mark_of),
        unusual_field(1),
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
        Figure("syscall-calls", "calls/s", Unit.COUNT, "syscalls", ByRow("calls", rate=True)),
        _FAILURES,
        _SLOW,
    ),
    worst=_worst,
    needs=("syscalls",),
    calm="no failing calls",
    while_open=lambda record: HookId("syscall-processes", record.name),
)
