"""Connects: who connects where, how long it takes, and how it fails."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial

from probes import units
from probes.model import Hook, Row
from probes.snapshot import Snapshot, SnapshotRow
from probes.units import Unit
from tui.detail import counters, graphs, heading, pairs, spread
from tui.fields import Field, Record, coloured, label, of, rate_of, values_of
from tui.history import Figure
from tui.lines import Line, fit, line
from tui.pane import Pane, Trouble
from tui.view import Decided, View, clock

_FAILED = rate_of("failed")
_WAYS = {
    "refused": "refused",
    "timed_out": "timed out",
    "unreachable": "unreachable",
    "gave_up": "given up",
    "other": "failed otherwise",
}


def address(host: object, port: object) -> str:
    """Address and port in one; IPv6 in brackets."""
    host = str(host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _records(view: View) -> list[Record]:
    return [_record(row) for row in view.rows("tcp-connect")]


def _record(row: SnapshotRow) -> Record:
    place = address(row["raddr"], row["rport"])
    mark = "bad" if row.rate("failed") > 0 else ""
    values = {**values_of(row), "destination": place}
    return Record(row.key, f"{row['comm']} > {place}", values, mark, row)


def _trouble(view: View) -> Trouble | None:
    by: dict[str, list[Record]] = {}
    for row in view.rows("tcp-connect"):
        if row.rate("failed") > 0:
            r = _record(row)
            by.setdefault(r.text("destination"), []).append(r)
    if not by:
        return None
    worst = max(by, key=lambda place: sum(r.number(_FAILED) for r in by[place]))
    ways = {w: sum(r.number(rate_of(n)) for r in by[worst]) for n, w in _WAYS.items()}
    said = ", ".join(f"{w} {units.count(n)}/s" for w, n in ways.items() if n)
    who = ", ".join(sorted({r.text("comm") for r in by[worst]}))
    others = f"  (and {len(by) - 1} more)" if len(by) > 1 else ""
    return Trouble("bad", f"{label(worst)} {said} ({label(who)}){others}")


def _detail(view: View, record: Record, width: int) -> list[Line]:
    lines = pairs(
        [
            ("Process", f"{record.text('comm')} (pid {record.values['pid']})"),
            ("Destination", record.text("destination")),
        ]
    )
    lines += graphs(PANE, view, record, width)
    lines += [*heading("Attempts"), *counters(view.catalogue["tcp-connect"], record, view.bits)]
    lines += spread("Time to establish", record, "latency", width, units.duration, view)
    mine = (record.values["pid"], record.values["raddr"], record.values["rport"])
    log = [d for d in view.decided.get("tcp-connect", ()) if (d.row[0], d.row[2], d.row[3]) == mine]
    if log:
        lines += [*heading("Latest"), *(_entry(d, width) for d in reversed(log[-20:]))]
    return lines


def _latest(view: View, most: int) -> list[Decided]:
    """The newest first."""
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


def _rates(column: str, snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    return {r.key: r.rates[column] for s in snapshots for r in s.rows}


def _mean(snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    return {
        r.key: v if isinstance(v := r["mean_ns"], int | float) else None
        for s in snapshots
        for r in s.rows
    }


def _bad(*columns: str) -> dict[str, object]:
    return {"colour": coloured("bad", 0, *(rate_of(c) for c in columns))}


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
        of(hook, "p99_ns", width=8, rank=4),
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
        Figure("connect-failed", "failed/s", Unit.COUNT, "tcp-connect", partial(_rates, "failed"),
               wrong=True),
        Figure("connect-begun", "connects/s", Unit.COUNT, "tcp-connect",
               partial(_rates, "connects")),
        Figure("connect-mean", "mean time", Unit.NS, "tcp-connect", _mean),
    ),
    below=_below,
    below_title="Latest connects",
)  # fmt: skip
