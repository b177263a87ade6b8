"""Connects: who connects where, how long it takes, and how it fails."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from heapq import nlargest
from operator import itemgetter

from probes import units
from probes.analysis.anomaly import Threshold
from probes.analysis.by_row import ByRow, SumBy
from probes.analysis.history import Figure
from probes.analysis.snapshot_row import SnapshotRow
from probes.model import Hook, Row, Value
from probes.units import Unit
from tui.session.view import Decided, View, clock
from tui.table.fields import Field, TableRow, coloured, label, of, rate_of, values_of
from tui.table.lines import Line, fit, line
from tui.toolkit import related
from tui.toolkit.anomaly_column import noted, said, unusual_field
from tui.toolkit.detail import counters, graphs, heading, pairs, spread
from tui.toolkit.pane import Finding, Pane, Trouble
from tui.toolkit.related import address, process

_Place = tuple[Value, Value]
"""An address and a port."""
_FAILED = rate_of("failed")
_WAYS = {
    "refused": "refused",
    "timed_out": "timed out",
    "unreachable": "unreachable",
    "gave_up": "given up",
    "other": "failed otherwise",
}


_ANY = Threshold(0.05, alarm=0.05)
"""The threshold of failing connects: any failure is marked, with its start and the usual rate."""
_FAILURES = Figure(
    "connect-failed", "failed/s", Unit.COUNT, "tcp-connect", ByRow("failed", rate=True),
    wrong=True, rule=_ANY,
)  # fmt: skip
_PLACE = Figure(
    "connect-place",
    "failed/s",
    Unit.COUNT,
    "tcp-connect",
    SumBy(("raddr", "rport"), "failed"),
    wrong=True,
    rule=_ANY,
)
_SLOW = Figure(
    "connect-mean", "mean time", Unit.NS, "tcp-connect", ByRow("mean_ns"),
    rule=Threshold(50e6, times=4, absent=None),
)  # fmt: skip


def _records(view: View) -> list[TableRow]:
    return [_record(view, row) for row in view.rows("tcp-connect")]


def _record(view: View, row: SnapshotRow) -> TableRow:
    place = address(row["raddr"], row["rport"])
    failing, slow = view.verdict(_FAILURES, row.key), view.verdict(_SLOW, row.key)
    bad = row.rate("failed") > 0 or failing.since is not None
    mark = "bad" if bad else "warn" if slow.since is not None else ""
    values = {**values_of(row), "destination": place, **noted(failing if bad else slow)}
    return TableRow(row.key, f"{row['comm'] or '?'} > {place}", values, mark, row)


def _places(view: View) -> dict[_Place, list[SnapshotRow]]:
    by: dict[_Place, list[SnapshotRow]] = {}
    for row in view.rows("tcp-connect"):
        by.setdefault((row["raddr"], row["rport"]), []).append(row)
    return by


_MARKED, _FAILING = 1e3, 1e6
"""Weights from which a destination is marked: as slow, as failing. Unmarked ones have seconds."""


def _worst(view: View, most: int) -> list[Finding]:
    """Return the destinations with most failing connects, then those with the slowest."""
    places = view.once(_places)
    weighed = [(_weight(view, place, rows), place) for place, rows in places.items()]
    worst = nlargest(most, weighed, key=itemgetter(0))
    marked = [one for one in worst[1:] if one[0] >= _MARKED]
    return [_place(view, place, weight) for weight, place in (*worst[:1], *marked)]


def _weight(view: View, place: _Place, rows: list[SnapshotRow]) -> float:
    """Return how bad the destination is; greater is worse."""
    failed = sum([r.rate("failed") for r in rows])
    if failed or view.verdict(_PLACE, place).since is not None:
        return _FAILING + failed
    row = _first(rows)
    slow = view.verdict(_SLOW, row.key).since is not None
    return min(row.number("mean_ns") / 1e9, _MARKED - 1) + _MARKED * slow


def _first(rows: list[SnapshotRow]) -> SnapshotRow:
    """Return the row with most failing connects, or the slowest."""
    return max(rows, key=lambda r: (r.rate("failed"), r.number("mean_ns")))


def _place(view: View, place: _Place, weight: float) -> Finding:
    rows, verdict = view.once(_places)[place], view.verdict(_PLACE, place)
    failed, row = sum(r.rate("failed") for r in rows), _first(rows)
    record = replace(_record(view, row), name=address(*place))
    if failed or verdict.since is not None:
        how = _said(rows) or f"failed, last at {clock(_last_failure(view, place))}"
        why = f"{how}, by {_callers(rows)}"
        now = f"{units.count(failed)}/s"
        record = replace(record, mark="bad", values={**record.values, **noted(verdict)})
        return Finding(record, _PLACE, place, verdict, "fails", now, why, weight)
    slow, mean = view.verdict(_SLOW, row.key), row.number("mean_ns")
    why = f"mean time to establish, by {process(row)}"
    now = units.duration(mean or None)
    return Finding(record, _SLOW, row.key, slow, "takes", now, why, weight)


def _said(rows: Iterable[SnapshotRow]) -> str:
    """Describe how connects fail, and how often: "timed out 7.2/s, refused 1/s"."""
    ways = {w: sum(r.rate(n) for r in rows) for n, w in _WAYS.items()}
    worst_first = sorted(((w, n) for w, n in ways.items() if n), key=lambda x: -x[1])
    return ", ".join(f"{w} {units.count(n)}/s" for w, n in worst_first)


def _callers(rows: Iterable[SnapshotRow]) -> str:
    by = sorted(rows, key=lambda r: -r.rate("failed"))
    names = dict.fromkeys(process(r) for r in by if r.number("failed"))
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(list(names)[:2]) + more


def _last_failure(view: View, place: _Place) -> float:
    log = view.decided.get("tcp-connect", ())
    failed = [d for d in log if d.row[2:4] == place and d.row[4] != "established"]
    return failed[-1].wall if failed else 0.0


def _trouble(view: View) -> Trouble | None:
    places = view.once(_places)
    by = {p: rows for p, rows in places.items() if any(r.rate("failed") > 0 for r in rows)}
    if not by:
        return None
    worst = max(by, key=lambda place: sum(r.rate("failed") for r in by[place]))
    who = ", ".join(sorted({str(r["comm"]) for r in by[worst] if r.rate("failed") > 0}))
    others = f"  (and {len(by) - 1} more)" if len(by) > 1 else ""
    return Trouble("bad", f"{label(address(*worst))} {_said(by[worst])} ({label(who)}){others}")


def _detail(view: View, record: TableRow, width: int) -> list[Line]:
    lines = pairs(
        [
            ("Process", f"{record.text('comm')} (pid {record.values['pid']})"),
            ("Destination", record.text("destination")),
            *said(record),
        ]
    )
    lines += graphs(PANE, view, record, width)
    here = record.values["raddr"], record.values["rport"]
    mine = related.of_process(record.values["pid"])
    whose = f"{record.text('comm')} (pid {record.values['pid']})"
    lines += related.trips(
        view, lambda r: (r["raddr"], r["rport"]) == here, record.text("destination"), width
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


def _fields(catalogue: Mapping[str, Hook]) -> tuple[Field, ...]:
    hook = catalogue["tcp-connect"]
    return (
        of(hook, "comm", width=12, rank=0, grow=16),
        of(hook, "pid", width=7, rank=4),
        of(hook, "raddr", title="Destination", width=18, rank=0, grow=40),
        of(hook, "rport", width=6, rank=0),
        of(hook, "connects", title="Conn/s", width=8, rank=1, grow=10),
        of(hook, "failed", title="Fail/s", width=8, rank=1, colour=coloured("bad", 0, _FAILED)),
        of(
            hook, "refused", title="Refus/s", width=8, rank=3,
            colour=coloured("bad", 0, rate_of("refused")),
        ),
        of(
            hook, "timed_out", title="Tmout/s", width=8, rank=3,
            colour=coloured("bad", 0, rate_of("timed_out")),
        ),
        of(
            hook, "unreachable", title="Unrch/s", width=8, rank=5,
            colour=coloured("bad", 0, rate_of("unreachable")),
        ),
        of(hook, "gave_up", title="Gave up/s", width=10, rank=7),
        of(hook, "pending", width=8, rank=6, colour=coloured("warn", 0, "pending")),
        of(hook, "mean_ns", width=8, rank=2),
        of(hook, "p99_ns", width=8, rank=5),
        unusual_field(1),
        )  # fmt: skip


PANE = Pane(
    name="connects",
    title="Connects",
    order=30,
    hooks=("tcp-connect",),
    fields=_fields,
    sort=_FAILED,
    records=_records,
    trouble=_trouble,
    detail=_detail,
    figures=(
        _FAILURES,
        Figure("connect-begun", "connects/s", Unit.COUNT, "tcp-connect",
               ByRow("connects", rate=True)),
        _SLOW,
    ),
    kept=(_PLACE,),
    worst=_worst,
    needs=("tcp-connect",),
    calm="no connection attempts",
    below=_below,
    below_title="Latest connects",
)  # fmt: skip
