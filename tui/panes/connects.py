"""Connects: who connects where, how long it takes, and how it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from heapq import nlargest
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from probes import units
from probes.analysis.anomaly import Threshold
from probes.analysis.by_row import ByRow, SumBy
from probes.analysis.history import Figure
from probes.analysis.many import SomeRows, either, grouped, many_of, near, rates_in, verdicts
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import np
from probes.columns.lexicon import Lexicon, Part
from probes.model import Hook, Row, Value
from probes.units import Unit
from tui.session.view import Decided, View, clock
from tui.table.fields import Field, TableRow, coloured, label, of, rate_of, values_of
from tui.table.lines import Line, fit, line
from tui.table.many_records import ManyRecords
from tui.table.snapshot_rows import SnapshotRows
from tui.toolkit import related
from tui.toolkit.anomaly_column import noted, said, unusual_field, unusual_of, words
from tui.toolkit.detail import counters, graphs, heading, pairs, spread
from tui.toolkit.pane import MOST_WORST, Pane, Trouble, Worst
from tui.toolkit.related import address, before_port, process

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HOOK = "tcp-connect"
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


_LEXICON = Lexicon(
    Part("comm", lambda comm: f"{comm or '?'} > "), Part("raddr", before_port), Part("rport")
)


def _records(view: View) -> Sequence[TableRow]:
    return view.once(_made)


def _made(view: View) -> Sequence[TableRow]:
    rows = many_of(view, _HOOK)
    if rows is None:
        return [_record(view, row) for row in view.rows(_HOOK)]
    failing, slow = verdicts(view, _FAILURES, _HOOK), verdicts(view, _SLOW, _HOOK)
    bad = (rows.per_s("failed") > 0) | failing.unusual
    told = either(bad, failing, slow)
    return ManyRecords(
        SnapshotRows(view.catalogue[_HOOK], rows),
        _LEXICON,
        lambda place: _record(view, rows[place]),
        own={"unusual": unusual_of(told)},
        marks=np.where(bad, 2, slow.unusual).astype("u1"),
        odd=np.flatnonzero(told.unusual),
        written={"unusual": lambda place: words(told.at(place))},
    )


def _record(view: View, row: SnapshotRow) -> TableRow:
    place = address(row["raddr"], row["rport"])
    failing, slow = view.verdict(_FAILURES, row.key), view.verdict(_SLOW, row.key)
    bad = row.rate("failed") > 0 or failing.since is not None
    mark = "bad" if bad else "warn" if slow.since is not None else ""
    values = {**values_of(row), "destination": place, **noted(failing if bad else slow)}
    return TableRow(row.key, f"{row['comm'] or '?'} > {place}", values, mark, row)


_MARKED, _FAILING = 1e3, 1e6
"""Weights from which a destination is marked: as slow, as failing. Unmarked ones have seconds."""


class _Destination(NamedTuple):
    """A destination. failed: failing connects a second. weight: greater is worse."""

    place: _Place
    rows: SomeRows
    failed: float
    weight: float


class _Destinations(NamedTuple):
    """The worst destinations, and how many have connects that fail now."""

    worst: Sequence[_Destination]
    failing: int


def _destinations(view: View) -> _Destinations:
    rows = many_of(view, _HOOK)
    return _of_few(view, view.rows(_HOOK)) if rows is None else _of_many(view, rows)


def _of_few(view: View, rows: Sequence[SnapshotRow]) -> _Destinations:
    by: dict[_Place, list[int]] = {}
    places = [(row.stored["raddr"], row.stored["rport"]) for row in rows]
    for n, place in enumerate(places):
        by.setdefault(place, []).append(n)
    rates, ends, slow = rates_in(rows, "failed"), near(view, _PLACE), near(view, _SLOW)
    weighed, failing = [], 0
    for place, own in by.items():
        failed = rates[own[0]] if len(own) == 1 else sum([rates[n] for n in own])
        failing += failed > 0
        if failed or (place in ends and view.verdict(_PLACE, place).since is not None):
            weighed.append((_FAILING + failed, place, failed))
        else:
            row = rows[own[0]] if len(own) == 1 else _first(SomeRows(rows, own, _LEXICON))
            late = row.key in slow and view.verdict(_SLOW, row.key).since is not None
            weight = min(row.number("mean_ns") / 1e9, _MARKED - 1) + _MARKED * late
            weighed.append((weight, place, failed))
    worst = nlargest(MOST_WORST, weighed, key=itemgetter(0))
    made = [_Destination(p, SomeRows(rows, by[p], _LEXICON), f, w) for w, p, f in worst]
    return _Destinations(made, failing)


def _of_many(view: View, rows: ManyRows) -> _Destinations:
    """Return the same, of rows that are columns."""
    group, begin = grouped(rows, _LEXICON, "raddr", "rport")
    rates, means = rows.per_s("failed"), rows.numbers("mean_ns")
    failed = np.bincount(group, rates)
    # The last of each destination is the one with most failing connects, or the slowest.
    order = np.lexsort((-np.arange(len(rows)), means, rates, group))
    telling = order[np.cumsum(np.bincount(group)) - 1]
    late = verdicts(view, _SLOW, _HOOK).unusual
    weights = np.minimum(means[telling] / 1e9, _MARKED - 1) + _MARKED * late[telling]
    bad = failed != 0
    bad[_unusual_places(view, rows, begin)] = True
    weights = np.where(bad, _FAILING + failed, weights)
    worst = np.argsort(-weights, kind="stable")[:MOST_WORST].tolist()
    made = [_of_group(rows, np.flatnonzero(group == n).tolist(), float(weights[n])) for n in worst]
    return _Destinations(made, int(np.count_nonzero(failed > 0)))


def _of_group(rows: ManyRows, own: list[int], weight: float) -> _Destination:
    some = SomeRows(rows, own, _LEXICON)
    raddr, rport = rows.cells("raddr").value(own[0]), rows.cells("rport").value(own[0])
    failed = sum(some.rates("failed"))
    return _Destination((raddr, rport), some, failed, weight)


def _unusual_places(view: View, rows: ManyRows, begin: NDArray[np.intp]) -> list[int]:
    """Return the destinations that fail unusually often, given each one's first row."""
    unusual = view.history.unusual(_PLACE)
    if not view.past and not unusual:
        return []
    ends = [_LEXICON.values(name, rows.cells(name), begin) for name in ("raddr", "rport")]
    numbers = {place: n for n, place in enumerate(zip(*ends, strict=True))}
    if view.past:
        unusual = {p for p in numbers if view.verdict(_PLACE, p).since is not None}
    return [numbers[place] for place in numbers.keys() & unusual]


def _worst(view: View, most: int) -> list[Worst]:
    """Return the destinations with most failing connects, then those with the slowest."""
    worst = view.once_read(_destinations, _HOOK).worst[:most]
    marked = [one for one in worst[1:] if one.weight >= _MARKED]
    return [_place(view, one) for one in (*worst[:1], *marked)]


def _first(rows: SomeRows) -> SnapshotRow:
    """Return the row with most failing connects, or the slowest."""
    bad = list(zip(rows.rates("failed"), rows.numbers("mean_ns"), strict=True))
    return rows.row(bad.index(max(bad)))


def _place(view: View, one: _Destination) -> Worst:
    place, failed, verdict = one.place, one.failed, view.verdict(_PLACE, one.place)
    row = _first(one.rows)
    record = replace(_record(view, row), name=address(*place))
    if failed or verdict.since is not None:
        how = _said(one.rows) or f"failed, last at {clock(_last_failure(view, place))}"
        why = f"{how}, by {_callers(one.rows)}"
        now = f"{units.count(failed)}/s"
        record = replace(record, mark="bad", values={**record.values, **noted(verdict)})
        return Worst(record, _PLACE, place, verdict, "fails", now, why, one.weight)
    slow, mean = view.verdict(_SLOW, row.key), row.number("mean_ns")
    why = f"mean time to establish, by {process(row)}"
    now = units.duration(mean or None)
    return Worst(record, _SLOW, row.key, slow, "takes", now, why, one.weight)


def _said(rows: SomeRows) -> str:
    """Describe how connects fail, and how often: "timed out 7.2/s, refused 1/s"."""
    ways = {w: sum(rows.rates(n)) for n, w in _WAYS.items()}
    worst_first = sorted(((w, n) for w, n in ways.items() if n), key=lambda x: -x[1])
    return ", ".join(f"{w} {units.count(n)}/s" for w, n in worst_first)


def _callers(rows: SomeRows) -> str:
    """Name the two processes with most failing connects, and count the others."""
    least_first = [-rate for rate in rows.rates("failed")]
    some = [n for n, failed in enumerate(rows.numbers("failed")) if failed]
    by = sorted(some, key=least_first.__getitem__)
    comm, pid = rows.values("comm"), rows.values("pid")
    names = dict.fromkeys(["?" if pid[n] is None else f"{comm[n]}[{pid[n]}]" for n in by])
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(list(names)[:2]) + more


def _last_failure(view: View, place: _Place) -> float:
    log = view.decided.get("tcp-connect", ())
    failed = [d for d in log if d.row[2:4] == place and d.row[4] != "established"]
    return failed[-1].wall if failed else 0.0


def _trouble(view: View) -> Trouble | None:
    found = view.once_read(_destinations, _HOOK)
    if not found.failing:
        return None
    worst = max(found.worst, key=lambda one: one.failed)
    comms, rates = worst.rows.values("comm"), worst.rows.rates("failed")
    failing = {comm for comm, rate in zip(comms, rates, strict=True) if rate > 0}
    who = ", ".join(sorted(map(str, failing)))
    others = f"  (and {found.failing - 1} more)" if found.failing > 1 else ""
    where = label(address(*worst.place))
    return Trouble("bad", f"{where} {_said(worst.rows)} ({label(who)}){others}")


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
