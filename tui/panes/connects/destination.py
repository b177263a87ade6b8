"""A destination's detail: over time, where it may be lost, by process, and the latest attempts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from probes import units
from probes.analysis.cases.claim import Claim
from probes.analysis.cases.detectors.connects import claimed
from probes.analysis.cases.detectors.trips import trips
from probes.analysis.destinations import HOW, Destination
from probes.analysis.freed import kind_of
from probes.analysis.many import places_with, rows_of
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import np
from probes.columns.lexicon import Lexicon
from probes.model import HookId, Row, State
from probes.units import Unit
from tui.panes.connects.figures import HOOK
from tui.panes.connects.graph import attempts_graph
from tui.panes.connects.grouped import grouped
from tui.panes.connects.log import entry, latest
from tui.session.view import View
from tui.table.fields import TableRow, label
from tui.table.lines import BLANK, Line, fit, line, wrap
from tui.toolkit import related
from tui.toolkit.anomaly_column import said
from tui.toolkit.detail import pairs, ruled, spread

MOST_ROWS = 12
"""Processes, or ports, that are listed; the others are counted."""
_WITH_TIME, _WITH_P99, _LEAST_HOW = 78, 100, 10
"""Cells from which on times are shown; those that are kept for how attempts fail."""
_MOST_DROPS = 64
_LOGGED, _GRAPH_LINES = 20, 7
_LEXICON = Lexicon()


def destination_detail(view: View, record: TableRow, width: int) -> list[Line]:
    """Return all that is known of a destination."""
    one = grouped(view).find(record.key)
    # What is usual is not known of what began soon after the start: the graph tells when.
    known = record.text("unusual_brief") != "from start"
    lines = [*pairs(said(record) if known else ())]
    lines += attempts_graph(view, record, width, _GRAPH_LINES)
    if one is None:
        return lines
    lines += _where_lost(view, one, width)
    rows = _rows(view, one)
    lines += _by_process(view, one, rows, width)
    keep = {"raddr": (one.address,)} | ({} if one.port is None else {"rport": (one.port,)})
    lines += related.trips(view, keep, record.text("to"), width)
    log = latest(view, _LOGGED, lambda row: _is_of(row, one))
    if log:
        lines += [BLANK, ruled("Latest", width - 2, ascii=view.ascii)]
        lines += [entry(decided, width) for decided in log]
    if rows:
        first = TableRow(rows[0].key, record.name, rows[0].values, record.mark, rows[0])
        title = f"Time to establish, {related.process(rows[0])}"
        lines += spread(title, HOOK, first, "latency", width, units.duration, view)
    return lines


def _rows(view: View, one: Destination) -> list[SnapshotRow]:
    """Return the rows that fail or try most, of a few."""
    attempts = grouped(view).attempts
    if attempts is None:
        return []
    places = list(one.rows)
    if grouped(view).many is not None and len(places) > MOST_ROWS:
        weights = attempts.per_s("failed") + attempts.per_s("connects") + attempts.number("late")
        there = np.array(places, np.intp)
        order = np.argsort(-weights[there], kind="stable")[:MOST_ROWS]
        places = there[order].tolist()
    found = sorted([attempts.row(place) for place in places], key=_most_first)
    return found[:MOST_ROWS]


def _most_first(row: SnapshotRow) -> tuple[float, ...]:
    """Return what rows are sorted by: what fails, what is begun, and the port."""
    return -row.rate("failed"), -row.rate("connects"), row.number("rport")


def _is_of(row: Row, one: Destination) -> bool:
    if one.port is None:
        return (row[1], row[2]) == (one.comm, one.address)
    return (row[2], row[3]) == (one.address, one.port)


# -- where it may be lost ---------------------------------------------------------------------


def _where_lost(view: View, one: Destination, width: int) -> list[Line]:
    lines = [BLANK, ruled("Where it may be lost", width - 2, ascii=view.ascii)]
    for role, text in _said(view, one):
        for n, row in enumerate(wrap(label(text), max(width - 6, 20))):
            lines.append(line((f"{'   ' if n == 0 else '     '}{row}", role)))
    return lines


def _said(view: View, one: Destination) -> Iterator[tuple[str, str]]:
    claim = _claim(view, one)
    if claim is not None:
        yield "", "; ".join(e.text.rstrip(".") for e in claim.evidence if e.text)
    yield _dropped_here(view, one)
    yield _connected(view, one)
    if claim is not None and claim.next:
        yield "muted", f"next: {'; '.join(claim.next)}"


def _claim(view: View, one: Destination) -> Claim | None:
    of_row = grouped(view).of_row
    key, found = one.key, grouped(view)
    for claim in claimed(view).claims:
        if any(of_row(row.key) is not None and found.key_of(row.key) == key for row in claim.rows):
            return claim
    return None


def _dropped_here(view: View, one: Destination) -> tuple[str, str]:
    """Say whether this host drops packets of that port."""
    if view.status(HookId("drops")).state is not State.ATTACHED:
        return "muted", "what this host drops is not seen"
    if one.port is None:
        return "muted", "what this host drops is told by interface, not by address"
    service, rows = f"tcp:{one.port}", rows_of(view, "drops")
    places = places_with(rows, _LEXICON, {"dport": (one.port,), "protocol": ("tcp",)})
    some = [rows[place] for place in places[:_MOST_DROPS]]
    lost = [row for row in some if row.rate("packets") and kind_of(row).lost]
    if not lost:
        return "", f"this host drops no packet of {service}"
    first = max(lost, key=lambda row: row.rate("packets"))
    rate = units.count(sum(row.rate("packets") for row in lost))
    at = f" at {first['interface']}" if first["interface"] != units.DASH else ""
    return "bad", f"this host drops {rate}/s of {service}{at}: {first['reason']}"


def _connected(view: View, one: Destination) -> tuple[str, str]:
    """Say how the connections to that address fare that are established."""
    rows = rows_of(view, "tcp-rtt")
    places = places_with(rows, _LEXICON, {"raddr": (one.address,)})
    if not places:
        return "", f"no connection to {one.address} is established"
    marks = trips(view).marks
    slow = sum(map(bool, map(marks.__getitem__, places))) if len(marks) else 0
    some = f"{len(places)} established connection{'s' if len(places) > 1 else ''}"
    least = min((rows[place].number("srtt_us") for place in places[:MOST_ROWS]), default=0)
    said = f"{some} to {one.address}: round trip {units.show(least, Unit.US)}"
    if slow:
        return "warn", f"{said} at best, {slow} slow or sending again"
    return "", f"{said}{' at best' if len(places) > 1 else ''}, as usual"


# -- by process -------------------------------------------------------------------------------


class _ByProcess(NamedTuple):
    """The widths that fit: of the name, of the times (their mean, or p99 too), of how it failed."""

    who: int
    times: int
    how: int

    @classmethod
    def of(cls, width: int) -> _ByProcess:
        times = 18 if width >= _WITH_P99 else 9 if width >= _WITH_TIME else 0
        who = min(width - 25 - times - 2 - _LEAST_HOW, 40)
        return cls(who, times, width - 25 - who - times - 2)


def _by_process(
    view: View, one: Destination, rows: Sequence[SnapshotRow], width: int
) -> list[Line]:
    title = "By process" if one.port is not None else "By port"
    layout = _ByProcess.of(width)
    head = ruled(title, layout.who + 3, ascii=view.ascii)
    times = f"{'Time':>9}{'p99':>9}"[: layout.times]
    columns = f"{'Conn/s':>8}{'Fail/s':>8}{'Wait':>6}{times}"
    lines = [BLANK, Line((*head.spans, (f"{columns}  How", "header")))]
    lines += [_process(row, one, width) for row in rows]
    if (more := len(one.rows) - len(rows)) > 0:
        lines.append(line((f"   {more} more", "muted")))
    return lines


def _process(row: SnapshotRow, one: Destination, width: int) -> Line:
    failed = row.rate("failed")
    who = related.process(row)
    who = who if one.port is not None else f"{who} > {row['rport']}"
    role = "bad" if failed else ""
    most = max(HOW, key=row.rate)
    how = HOW[most] if row.rate(most) else ""
    layout = _ByProcess.of(width)
    times = f"{units.show(row['mean_ns'], Unit.NS):>9}{units.show(row['p99_ns'], Unit.NS):>9}"
    return line(
        ("   ", ""), (fit(label(who), layout.who), role),
        f"{units.count(row.rates['connects']):>8}",
        (f"{units.count(row.rates['failed']):>8}", role or "muted"),
        f"{units.count(row.number('pending')):>6}",
        times[: layout.times],
        (f"  {fit(how, layout.how).rstrip()}", role),
    )  # fmt: skip
