"""Connects: who connects where, how long it takes, and how it fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from probes import units
from probes.analysis.cases.detectors.connects import claimed
from probes.analysis.cases.words import percent
from probes.analysis.many import SomeRows, rows_of
from probes.columns.lexicon import Lexicon
from probes.model import Hook
from probes.units import Unit
from tui.panes.connects.columns import others
from tui.panes.connects.destination import destination_detail
from tui.panes.connects.figures import BEGUN, FAILED, FAILURES, HOOK, PORTS_FAILED, TIME
from tui.panes.connects.graph import attempts_graph
from tui.panes.connects.grouped import grouped, records
from tui.panes.connects.log import entry, latest
from tui.session.view import View
from tui.table.fields import Field, TableRow, label, of, values_of
from tui.table.lines import BLANK, Line
from tui.table.many_records import MARKS
from tui.toolkit import related
from tui.toolkit.anomaly_column import said, unusual_field
from tui.toolkit.detail import counters, heading, pairs, spread
from tui.toolkit.graphs import Subject, graph_lines
from tui.toolkit.owner import owner_fields, owner_of
from tui.toolkit.pane import Busiest, Pane, Trouble
from tui.toolkit.related import address, process

_LOGGED, _GRAPH_LINES = 20, 7
_SHORT_TO = 21
"""Cells of a destination that always has a column."""
_LEAST_RATE = 0.05
"""Connects a second that are not rounded to 0."""
_LEXICON = Lexicon()


def _busiest(view: View) -> Busiest | None:
    """Return the slowest caller that connects now, or that did."""
    rows = rows_of(view, HOOK)
    if not rows:
        return None
    some = SomeRows.of(rows, _LEXICON)
    (row,) = some.first(1, _capped(some.rates("connects")), some.numbers("mean_ns"))
    rate, mean = row.rate("connects"), row.number("mean_ns")
    if not (rate or mean):
        return None
    record = TableRow(row.key, address(row["raddr"], row["rport"]), values_of(row), "", row)
    often = units.per_second(rate, "connect") if rate >= _LEAST_RATE else "none now"
    why = f"{often}, by {process(row)}"
    what = f"{record.name} slowest connect"
    return Busiest(record, what, TIME, row.key, mean, units.duration(mean or None), why)


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
    if record.row is None:
        return destination_detail(view, record, width)
    lines = pairs(
        [
            ("Process", f"{record.text('comm')} (pid {record.values['pid']})"),
            *owner_of(record),
            ("Destination", record.text("to")),
            *said(record),
        ]
    )
    lines += [BLANK, *attempts_graph(view, record, width, _GRAPH_LINES)]
    lines += [BLANK, *_time(view, record, width)]
    here = record.values["raddr"], record.values["rport"]
    mine = related.of_process(record.values["pid"])
    whose = f"{record.text('comm')} (pid {record.values['pid']})"
    keep = {"raddr": here[:1], "rport": here[1:]}
    lines += related.trips(view, keep, record.text("to"), width)
    lines += related.connects(view, mine, whose, width)
    lines += related.trips(view, mine, whose, width)
    lines += related.calls(view, record.values["pid"], whose, width)
    lines += [*heading("Attempts"), *counters(view.catalogue[HOOK], record, view.bits)]
    lines += spread("Time to establish", HOOK, record, "latency", width, units.duration, view)
    me = record.values["pid"], *here
    log = latest(view, _LOGGED, lambda row: (row[0], row[2], row[3]) == me)
    if log:
        lines += [*heading("Latest"), *(entry(decided, width) for decided in log)]
    return lines


def _time(view: View, record: TableRow, width: int) -> list[Line]:
    subject = Subject(TIME, record.key, record.name, record.mark)
    drawn = graph_lines(view, subject, width - 1, _GRAPH_LINES)
    return [Line(((" ", ""), *text.spans)) for text in drawn]


def _draw(view: View, record: TableRow | None, width: int, height: int) -> list[Line]:
    return [] if record is None else attempts_graph(view, record, width, height)


def _below(view: View, width: int, height: int) -> list[Line]:
    return [entry(decided, width) for decided in latest(view, height)]


def _mark_if(value: str) -> Callable[[TableRow], str]:
    """Return a function that gives a record's mark where it has some of this."""
    return lambda record: record.mark if record.number(value) > 0 else ""


def _marked(record: TableRow) -> str:
    return record.mark


def _share(record: TableRow) -> str:
    """Return the share that fails, as people say it; nothing if none does."""
    value = record.values.get("failed_share")
    if not isinstance(value, int | float):
        return ""
    return percent(value / 100) if value else "0"


def _brief_to(record: TableRow) -> str:
    """Return a long address cut in its middle: the port tells more than its end."""
    ends = f"]:{record.values['rport']}" if record.values.get("rport") is not None else ", ports"
    return label(f"{record.text('to')[: _SHORT_TO - len(ends) - 1]}~{ends}")


def _brief_by(record: TableRow) -> str:
    """Return the command without the pid, where both do not fit."""
    return label(f"{record.text('first') or '?'}{others(int(record.number('processes')) - 1)}")


def _fields(catalogue: Mapping[str, Hook]) -> tuple[Field, ...]:
    hook = catalogue[HOOK]
    return (
        Field("to", "To", width=21, rank=0, grow=32, colour=_marked, brief=_brief_to,
              help="address and port; ports at which a command has always failed are one"),
        replace(
            Field("by", "By", width=12, rank=0, grow=24,
                  help="the process that fails or tries most, and how many others there are"),
            brief=_brief_by,
        ),
        of(hook, "connects", title="Conn/s", width=7, rank=2, grow=9),
        Field("failed_share", "Failed", Unit.PERCENT, 7, 1, 9,
              "share of the attempts that failed, of those that ended in the last seconds",
              _mark_if("failed_share")),
        Field("how", "How", width=11, rank=1, grow=14, colour=_marked,
              help="how most of them fail"),
        of(hook, "pending", title="Wait", width=5, rank=3, colour=_mark_if("late")),
        of(hook, "oldest_ns", width=8, rank=4, colour=_mark_if("late")),
        Field("mean_ns", "Time", Unit.NS, 7, 2, 9, "mean time to establish, last 10 s"),
        Field("p99_ns", "p99", Unit.NS, 8, 5, 9,
              "99 % took less, last 10 s, within a factor of two; the greatest of its processes"),
        *owner_fields(),
        unusual_field(6),
        replace(of(hook, "failed", title="Fail/s"), width=0),
        *(replace(of(hook, name), width=0) for name in ("comm", "pid", "raddr", "rport")),
        Field("wrong", "What is wrong", Unit.COUNT, 0, 9, help="marked rows first, then failures"),
        )  # fmt: skip


PANE = Pane(
    name="connects",
    title="Connects",
    short="Conns",
    order=30,
    hooks=(HOOK,),
    fields=_fields,
    sort="wrong",
    records=records,
    trouble=_trouble,
    detail=_detail,
    kept=(BEGUN, FAILED, PORTS_FAILED, FAILURES, TIME),
    busiest=_busiest,
    needs=(HOOK,),
    calm="no connection attempts",
    empty="no process has tried to connect yet",
    below=_below,
    below_title="Latest connects",
    draw=_draw,
    folds=frozenset({"pane"}),
    shows=lambda view, key: grouped(view).key_of(key),
    says_beyond=True,
)
