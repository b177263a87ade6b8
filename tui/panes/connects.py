"""Connects: who connects where, how long it takes, and how it fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from probes import units
from probes.analysis.by_row import ByRow
from probes.analysis.cases.detectors.connects import claimed
from probes.analysis.cases.detectors.connects.figures import BY_PLACE, SLOW
from probes.analysis.history import Figure
from probes.analysis.many import SomeRows, either, many_of, rows_of, verdicts
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import np
from probes.columns.cells import NumberCells
from probes.columns.lexicon import Lexicon, Part
from probes.model import Hook, Row
from probes.units import Unit
from tui.session.view import Decided, View, clock
from tui.table.fields import Field, TableRow, label, of, values_of
from tui.table.lines import Line, fit, line
from tui.table.many_records import MARKS, ManyRecords
from tui.table.snapshot_rows import SnapshotRows
from tui.toolkit import related
from tui.toolkit.anomaly_column import noted, said, unusual_field, unusual_of, words
from tui.toolkit.detail import counters, graphs, heading, pairs, spread
from tui.toolkit.owner import owner_fields, owner_of
from tui.toolkit.pane import Busiest, Pane, Trouble
from tui.toolkit.related import address, before_port, process

_HOOK = "tcp-connect"
_FAILURES = Figure(
    "connect-failed", "failed/s", Unit.COUNT, "tcp-connect", ByRow("failed", rate=True),
    wrong=True, rule=BY_PLACE.rule,
)  # fmt: skip


_LEXICON = Lexicon(
    Part("comm", lambda comm: f"{comm or '?'} > "), Part("raddr", before_port), Part("rport")
)


def _records(view: View) -> Sequence[TableRow]:
    return view.once(_made)


def _made(view: View) -> Sequence[TableRow]:
    found, rows = claimed(view).marks, many_of(view, _HOOK)
    if rows is None:
        few = view.rows(_HOOK)
        marks = found.tolist() if found is not None else [0] * len(few)
        return [_record(view, row, mark) for row, mark in zip(few, marks, strict=True)]
    of_row = np.zeros(len(rows), "u1") if found is None else found
    told = either(of_row == 2, verdicts(view, _FAILURES, _HOOK), verdicts(view, SLOW, _HOOK))
    wrong = rows.per_s("failed") + rows.numbers("late") + _MARKED * of_row
    return ManyRecords(
        SnapshotRows(view.catalogue[_HOOK], rows),
        _LEXICON,
        lambda place: _record(view, rows[place], int(of_row[place])),
        own={"unusual": unusual_of(told), "wrong": NumberCells(wrong)},
        marks=of_row,
        odd=np.flatnonzero(told.unusual),
        written={"unusual": lambda place: words(told.at(place))},
    )


_MARKED = 1e6
"""Failures a second that a mark outweighs, where what is wrong comes first."""


def _record(view: View, row: SnapshotRow, mark: int) -> TableRow:
    place = address(row["raddr"], row["rport"])
    verdict = view.verdict(_FAILURES if mark == 2 else SLOW, row.key)
    wrong = row.rate("failed") + row.number("late") + _MARKED * mark
    values = {**values_of(row), "destination": place, "wrong": wrong, **noted(verdict)}
    return TableRow(row.key, f"{row['comm'] or '?'} > {place}", values, MARKS[mark], row)


def _busiest(view: View) -> Busiest | None:
    """Return the slowest caller that connects now, or that did."""
    rows = rows_of(view, _HOOK)
    if not rows:
        return None
    some = SomeRows.of(rows, _LEXICON)
    (row,) = some.first(1, _capped(some.rates("connects")), some.numbers("mean_ns"))
    rate, mean = row.rate("connects"), row.number("mean_ns")
    record = replace(_record(view, row, 0), name=address(row["raddr"], row["rport"]))
    why = f"{units.count(rate)} connects/s, by {process(row)}"
    what = f"{record.name} slowest connect"
    return Busiest(record, what, SLOW, row.key, mean, units.duration(mean or None), why)


def _capped(rates: Sequence[float]) -> list[bool]:
    return [rate > 0 for rate in rates]


def _trouble(view: View) -> Trouble | None:
    found = claimed(view).claims
    if not found:
        return None
    worst = found[0]
    role = MARKS[worst.severity]
    alike = sum(claim.severity is worst.severity for claim in found) - 1
    others = f"  (and {alike} more)" if alike else ""
    share = f", {units.percent(100 * worst.share)} of {worst.of}" if worst.share else ""
    who = ", ".join(dict.fromkeys(str(one.comm or "?") for one in worst.who))
    return Trouble(role, label(f"{worst.what}{share} ({who}){others}"))


def _detail(view: View, record: TableRow, width: int) -> list[Line]:
    lines = pairs(
        [
            ("Process", f"{record.text('comm')} (pid {record.values['pid']})"),
            *owner_of(record),
            ("Destination", record.text("destination")),
            *said(record),
        ]
    )
    lines += graphs(PANE, view, record, width)
    here = record.values["raddr"], record.values["rport"]
    mine = related.of_process(record.values["pid"])
    whose = f"{record.text('comm')} (pid {record.values['pid']})"
    lines += related.trips(
        view, {"raddr": here[:1], "rport": here[1:]}, record.text("destination"), width
    )
    lines += related.connects(view, mine, whose, width)
    lines += related.trips(view, mine, whose, width)
    lines += related.calls(view, record.values["pid"], whose, width)
    lines += [*heading("Attempts"), *counters(view.catalogue["tcp-connect"], record, view.bits)]
    lines += spread(
        "Time to establish", "tcp-connect", record, "latency", width, units.duration, view
    )
    me = record.values["pid"], *here
    log = [d for d in view.decided.get("tcp-connect", ()) if (d.row[0], d.row[2], d.row[3]) == me]
    if log:
        lines += [*heading("Latest"), *(_entry(d, width) for d in reversed(log[-20:]))]
    return lines


def _latest(view: View, most: int) -> list[Decided]:
    """Return the latest connects, newest first."""
    return list(view.decided.get("tcp-connect", ()))[: -most - 1 : -1]


def _below(view: View, width: int, height: int) -> list[Line]:
    return [_entry(d, width) for d in _latest(view, height)]


def _entry(decided: Decided, width: int) -> Line:
    row: Row = decided.row
    pid, comm, raddr, rport, result, ns = row
    role = "good" if result == "established" else "bad"
    took = units.duration(ns if isinstance(ns, int | float) else None)
    room = max(width - 58, 22)
    return line(
        (f"  {clock(decided.wall)} ", "muted"),
        fit(label(f"{comm}[{pid}]"), 22),
        " ",
        fit(label(address(raddr, rport)), min(room, 42)),
        " ",
        (fit(label(result), 12), role),
        f"{took:>8}",
    )


def _mark_if(value: str) -> Callable[[TableRow], str]:
    """Return a function that gives a record's mark where it has some of this."""
    return lambda record: record.mark if record.number(value) > 0 else ""


def _fields(catalogue: Mapping[str, Hook]) -> tuple[Field, ...]:
    hook = catalogue["tcp-connect"]
    return (
        of(hook, "comm", width=12, rank=0, grow=16),
        of(hook, "pid", width=7, rank=4),
        of(hook, "raddr", title="Destination", width=18, rank=0, grow=40),
        of(hook, "rport", width=6, rank=0),
        of(hook, "connects", title="Conn/s", width=8, rank=1, grow=10),
        of(hook, "failed", title="Fail/s", width=8, rank=1, colour=_mark_if("failed_per_s")),
        of(
            hook, "refused", title="Refus/s", width=8, rank=3,
            colour=_mark_if("refused_per_s"),
        ),
        of(
            hook, "timed_out", title="Tmout/s", width=8, rank=3,
            colour=_mark_if("timed_out_per_s"),
        ),
        of(
            hook, "unreachable", title="Unrch/s", width=8, rank=5,
            colour=_mark_if("unreachable_per_s"),
        ),
        of(hook, "gave_up", title="Gave up/s", width=10, rank=7),
        of(hook, "no_port", title="No port/s", width=10, rank=8),
        of(hook, "pending", title="Wait", width=6, rank=3, colour=_mark_if("late")),
        of(hook, "oldest_ns", width=8, rank=4, colour=_mark_if("late")),
        of(hook, "mean_ns", width=8, rank=2),
        of(hook, "p99_ns", width=8, rank=5),
        *owner_fields(),
        unusual_field(1),
        Field("wrong", "What is wrong", Unit.COUNT, 0, 9, help="marked rows first, then failures"),
        )  # fmt: skip


PANE = Pane(
    name="connects",
    title="Connects",
    short="Conns",
    order=30,
    hooks=("tcp-connect",),
    fields=_fields,
    sort="wrong",
    records=_records,
    trouble=_trouble,
    detail=_detail,
    figures=(
        _FAILURES,
        Figure("connect-begun", "connects/s", Unit.COUNT, "tcp-connect",
               ByRow("connects", rate=True)),
        SLOW,
    ),
    kept=(BY_PLACE,),
    busiest=_busiest,
    needs=("tcp-connect",),
    calm="no connection attempts",
    below=_below,
    below_title="Latest connects",
)  # fmt: skip
