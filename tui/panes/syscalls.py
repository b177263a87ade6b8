"""Syscalls: which are called, which fail and how, which stall; by process in the detail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from heapq import nlargest
from typing import NamedTuple

from probes import units
from probes.analysis.anomaly import CALM, Threshold, Verdict
from probes.analysis.by_row import ByRow
from probes.analysis.history import Figure
from probes.analysis.snapshot_row import SnapshotRow
from probes.model import Hook, HookId, State
from probes.units import Unit
from tui.session.view import View
from tui.table.fields import Field, TableRow, label, of, rate_of, values_of
from tui.table.lines import Line, fit, line
from tui.table.many_records import MARKS, Lexicon
from tui.toolkit import related
from tui.toolkit.anomaly_column import mark_of, noted, said, unusual_field
from tui.toolkit.detail import graphs, heading, pairs, spread
from tui.toolkit.many import SomeRows, near, rates_in
from tui.toolkit.pane import MOST_WORST, Finding, Pane, Trouble

_CALLS, _ERRORS = rate_of("calls"), rate_of("errors")
_GRAVE = frozenset({
    "ECONNREFUSED", "ECONNRESET", "EDQUOT", "EHOSTUNREACH", "EIO", "EMFILE", "ENETUNREACH",
    "ENFILE", "ENOBUFS", "ENOMEM", "ENOSPC", "EROFS", "ETIMEDOUT",
})  # fmt: skip
"""Errnos that signal trouble even without a history."""
_COMMON = frozenset(
    {"EAGAIN", "ECHILD", "EEXIST", "EINTR", "EINVAL", "ENODATA", "ENOENT", "ENOTTY", "ESRCH"}
)
"""Errnos that programs live with: many of them are a warning at most."""
_LEXICON = Lexicon()
_SHARE = 0.25
"""Share of the calls that must fail before a call is marked: else it is only called more often."""
_MIN_ERRORS_PER_S = 5.0
"""Errors a second below which nothing is marked."""
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
    rule=Threshold(_MIN_ERRORS_PER_S),
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
    values["mostly"] = _mostly(row) / calls * 100 if calls else None
    failing, slow = _verdicts(view, row)
    mark = _mark(row, failing) or ("warn" if slow.since is not None else "")
    instead = ("many calls fail", "many fail") if mark == "bad" else ("", "")
    values |= noted(slow if failing.since is None else failing, instead)
    return TableRow(row.key, str(row["syscall"]), values, mark, row)


def _mark(row: SnapshotRow, failing: Verdict) -> str:
    """Return the mark for its errors."""
    if _grave(row):
        return "bad"
    if failing.since is None or row.rate("errors") < _SHARE * row.rate("calls"):
        return ""
    return "warn" if row["top_errno"] in _COMMON else "bad"


def _mostly(row: SnapshotRow) -> float:
    """Return errors a second of the most frequent errno; of all if its share is unknown."""
    share = row["top_share"]
    return row.rate("errors") * (share / 100 if isinstance(share, int | float) else 1)


def _verdicts(view: View, row: SnapshotRow) -> tuple[Verdict, Verdict]:
    """Return the verdicts on its errors and its duration."""
    slow = CALM if row["syscall"] in _WAIT else view.verdict(_SLOW, row.key)
    return view.verdict(_FAILURES, row.key), slow


def _grave(row: SnapshotRow) -> bool:
    """Return whether much of it fails, and in a way that is never harmless."""
    least = max(_MIN_ERRORS_PER_S, row.rate("calls") / 3)
    if row.rate("errors") < least:  # what follows is calculated on demand
        return False
    errors = _mostly(row)
    return errors >= least and errors > row.rate("calls") / 3 and row["top_errno"] in _GRAVE


class _Calls(NamedTuple):
    """Calls that need a look. failing: the worst of those that fail, with the marks for that.

    slow: with their verdicts. marked: all that have a mark.
    """

    failing: Sequence[tuple[SnapshotRow, str]]
    slow: Sequence[tuple[SnapshotRow, Verdict]]
    marked: Sequence[SnapshotRow]


def _looked(view: View) -> _Calls:
    """Look at each call; most fail rarely, as usual."""
    rows = view.rows("syscalls")
    errors = rates_in(rows, "errors")
    failing, stalling = near(view, _FAILURES), near(view, _SLOW)
    marks = {
        place: mark
        for place, (row, rate) in enumerate(zip(rows, errors, strict=True))
        if (rate >= _MIN_ERRORS_PER_S or row.key in failing)
        and (mark := _mark(row, view.verdict(_FAILURES, row.key)))
    }
    slow = {
        place: verdict
        for place, row in enumerate(rows)
        if row.key in stalling and (verdict := _verdicts(view, row)[1]).since is not None
    }
    weights = list(errors)
    for place, mark in marks.items():
        weights[place] += 1e6 * MARKS.index(mark)
    some = [place for place, rate in enumerate(errors) if rate]
    worst = nlargest(MOST_WORST, some, key=weights.__getitem__)
    return _Calls(
        [(rows[place], marks.get(place, "")) for place in worst],
        [(rows[place], verdict) for place, verdict in slow.items()],
        [rows[place] for place in sorted({*marks, *slow})],
    )


def _worst(view: View, most: int) -> list[Finding]:
    looked = view.once_read(_looked, "syscalls")
    worst = looked.failing[:most]
    found = [_failing(view, row) for place, (row, mark) in enumerate(worst) if mark or not place]
    found += [_stalling(view, row, verdict) for row, verdict in looked.slow]
    return sorted(found, key=lambda f: -f.weight)[:most]


def _weight(view: View, row: SnapshotRow) -> float:
    """Return how bad it is; greater is worse."""
    mark = _mark(row, view.verdict(_FAILURES, row.key))
    return row.rate("errors") + 1e6 * MARKS.index(mark)


def _failing(view: View, row: SnapshotRow) -> Finding:
    verdict, record = view.verdict(_FAILURES, row.key), _record(view, row)
    errors = row.rate("errors")
    record = replace(record, mark=_mark(row, verdict))
    why = f"{row['top_errno']}: {units.percent(record.number('mostly'))} of its calls fail"
    callers = _callers(view, record.name)
    why += f", by {callers}" if callers else ""
    now = f"{units.count(errors)}/s"
    weight = _weight(view, row)
    return Finding(record, _FAILURES, row.key, verdict, "errors", now, why, weight)


def _stalling(view: View, row: SnapshotRow, verdict: Verdict) -> Finding:
    record = replace(_record(view, row), mark="warn")
    why = f"slow: mean {_time(record, 'mean_ns')}, p99 {_time(record, 'p99_ns')}"
    now = units.duration(row.number("p99_ns"))
    return Finding(record, _SLOW, row.key, verdict, "takes", now, why, 1e3 * verdict.now / 1e9)


def _callers(view: View, syscall: str) -> str:
    """Name the two processes with most errors, if they are known."""
    snapshot = view.snapshots.get(HookId("syscall-processes", syscall))
    if snapshot is None:
        return ""
    rows = SomeRows.of(snapshot.rows, _LEXICON)
    worst = rows.first(2, rows.rates("errors"))
    return ", ".join([related.process(row) for row in worst if row.rate("errors")])


def _trouble(view: View) -> Trouble | None:
    marked = [_record(view, row) for row in view.once_read(_looked, "syscalls").marked]
    worst = sorted(marked, key=lambda r: (r.mark != "bad", -r.number(_ERRORS)))
    if not worst:
        return None
    if worst[0].number("share") < 100 * _SHARE:
        took = f"{label(worst[0].name)} takes {_time(worst[0], 'p99_ns')} (p99)"
        return Trouble("warn", f"{took}, {worst[0].text('unusual_words')}")
    words = [
        f"{label(r.name)}: {units.count(r.number(_ERRORS))} errors/s "
        f"({units.percent(r.number('share'))}), {_named(r)}"
        for r in worst[:2]
        if r.number("share") >= 100 * _SHARE
    ]
    return Trouble(worst[0].mark, "; ".join(words))


def _detail(view: View, record: TableRow, width: int) -> list[Line]:
    lines = pairs(
        [
            ("Calls", f"{units.count(record.number(_CALLS))}/s"),
            (
                "Errors",
                f"{units.count(record.number(_ERRORS))}/s, {_named(record)}",
            ),
            ("Mean, p99", f"{_time(record, 'mean_ns')}, {_time(record, 'p99_ns')} (last 10 s)"),
            *said(record),
        ]
    )
    lines += _by_process(view, record)
    lines += _of_callers(view, record, width)
    lines += graphs(PANE, view, record, width)
    lines += spread("Time in the call", "syscalls", record, "latency", width, units.duration, view)
    return lines


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
