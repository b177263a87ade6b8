"""RTT: every connection's round trip time, retransmits and owner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from heapq import nlargest

from probes import units
from probes.analysis.anomaly import Threshold, Verdict
from probes.analysis.by_row import ByRow
from probes.analysis.history import Figure
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot import Snapshot
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import np
from probes.model import Hook
from probes.units import Unit
from tui.session.view import View
from tui.table.fields import Field, TableRow, of, rate_of, values_of
from tui.table.lines import Line
from tui.toolkit import related
from tui.toolkit.anomaly_column import mark_of, noted, said, unusual_field
from tui.toolkit.detail import counters, graphs, heading, pairs, spread
from tui.toolkit.pane import Finding, Pane, Trouble
from tui.toolkit.related import address, process

_AGAIN = rate_of("retransmits")
_TIMES, _LEAST_US, _AGAIN_PER_S = 5, 20_000, 3.0
"""Thresholds of marks: multiple of the connection's minimum RTT, least RTT; retransmits/s."""


_TRIP = Figure(
    "rtt-srtt", "SRTT", Unit.US, "tcp-rtt", ByRow("srtt_us", zero=False),
    rule=Threshold(_LEAST_US, times=3, absent=None),
)  # fmt: skip
_SENT_AGAIN = Figure(
    "rtt-again", "retransmits/s", Unit.COUNT, "tcp-rtt", ByRow("retransmits", rate=True),
    wrong=True, rule=Threshold(_AGAIN_PER_S, alarm=_AGAIN_PER_S),
)  # fmt: skip


def _records(view: View) -> list[TableRow]:
    return [_record(view, row) for row in view.rows("tcp-rtt")]


def _record(view: View, row: SnapshotRow) -> TableRow:
    name = f"{row['comm'] or '?'} > {address(row['raddr'], row['rport'])}"
    slow, again = _verdicts(view, row)
    times = row.number("srtt_us") / max(row.number("min_us"), 1)
    instead = (f"{times:.0f}x its minimum", f"{times:.0f}x min") if _far(row) else ("", "")
    values = values_of(row) | noted(again if slow.since is None else slow, instead)
    return TableRow(row.key, name, values, _mark_of(slow, again, row), row)


def _mark(view: View, row: SnapshotRow) -> str:
    return _mark_of(*_verdicts(view, row), row)


def _mark_of(slow: Verdict, again: Verdict, row: SnapshotRow) -> str:
    late, sent = slow.since is not None or _far(row), again.since is not None
    return "bad" if late and sent else "warn" if late or sent else ""


def _far(row: SnapshotRow) -> bool:
    """Return whether the round trip is far above the path's minimum."""
    now, least = row.number("srtt_us"), row.number("min_us")
    return least > 0 and now >= _TIMES * least and now >= _LEAST_US


def _worst(view: View, most: int) -> list[Finding]:
    rows = [row for s in view.of("tcp-rtt") for row in _candidates(view, s, most)]
    worst = nlargest(most, [(_mark(view, row), row) for row in rows], key=lambda m: _weight(*m))
    return [_finding(view, row) for place, (mark, row) in enumerate(worst) if mark or not place]


def _marked(view: View) -> list[tuple[str, SnapshotRow]]:
    """Return every connection that has a mark, and its mark."""
    rows = [row for s in view.of("tcp-rtt") for row in _candidates(view, s, 0)]
    return [(mark, row) for row in rows if (mark := _mark(view, row))]


def _candidates(view: View, snapshot: Snapshot, most: int) -> Sequence[SnapshotRow]:
    """Return rows among which are all that have a mark, and those with the longest round trips."""
    rows = snapshot.rows
    if view.past or not isinstance(rows, ManyRows):
        return rows
    now, least = rows.numbers("srtt_us"), rows.numbers("min_us")
    far = (least > 0) & (now >= _TIMES * least) & (now >= _LEAST_US)
    unusual = view.history.unusual(_TRIP) | view.history.unusual(_SENT_AGAIN)
    longest = np.argsort(-now, kind="stable")[:most]
    return [rows[n] for n in sorted({*np.flatnonzero(far), *longest, *rows.places(unusual)})]


def _weight(mark: str, row: SnapshotRow) -> float:
    """Return how bad the connection is; greater is worse."""
    return row.number("srtt_us") / 1e6 + 1e3 * ("", "warn", "bad").index(mark)


def _finding(view: View, row: SnapshotRow) -> Finding:
    """Return a finding on the round trip, or on retransmits if only those are unusual."""
    slow, again = _verdicts(view, row)
    record = _record(view, row)
    now, sent = units.duration(row.number("srtt_us") * 1000), row.rate("retransmits")
    why = f"{process(row)}, minimum {units.duration(row.number('min_us') * 1000)}"
    weight = _weight(record.mark, row)
    record = replace(record, name=address(row["raddr"], row["rport"]))
    if slow.since is None and again.since is not None and not _far(row):
        why = f"SRTT {now}, by {why}"
        return Finding(
            record,
            _SENT_AGAIN,
            row.key,
            again,
            "retransmits",
            f"{units.count(sent)}/s",
            why,
            weight,
        )
    why += f", {units.count(sent)} retransmits/s" if sent else ""
    return Finding(record, _TRIP, row.key, slow, "SRTT", now, why, weight)


def _verdicts(view: View, row: SnapshotRow) -> tuple[Verdict, Verdict]:
    """Return the verdicts on its round trip and its retransmits."""
    return view.verdict(_TRIP, row.key), view.verdict(_SENT_AGAIN, row.key)


def _trouble(view: View) -> Trouble | None:
    marked = view.once(_marked)
    if not marked:
        return None
    mark, row = max(marked, key=lambda m: _weight(*m))
    worst = _record(view, row)
    srtt, least = (units.duration(worst.number(n) * 1000) for n in ("srtt_us", "min_us"))
    again = worst.number(_AGAIN)
    more = f", {units.count(again)} retransmits/s" if again else ""
    others = f"  (and {len(marked) - 1} more)" if len(marked) > 1 else ""
    place = address(worst.values["raddr"], worst.values["rport"])
    return Trouble(
        mark,
        units.printable(
            f"{place} SRTT {srtt}, minimum {least}{more} ({worst.text('comm')}){others}"
        ),
    )


def _detail(view: View, record: TableRow, width: int) -> list[Line]:
    v = record.values
    lines = pairs(
        [
            ("Process", f"{record.text('comm')} (pid {v['pid']})"),
            ("Local", address(v["laddr"], v["lport"])),
            ("Remote", address(v["raddr"], v["rport"])),
            ("Interface", related.interface_of(view, v["laddr"]) or units.DASH),
            ("Numbers from", record.text("from")),
            *said(record),
        ]
    )
    lines += graphs(PANE, view, record, width)
    lines += spread("Round trips", "tcp-rtt", record, "rtt", width, _us, view)
    whose, mine = f"{record.text('comm')} (pid {v['pid']})", related.of_process(v["pid"])
    lines += related.connects(view, mine, whose, width)
    lines += related.trips(view, mine, whose, width)
    lines += related.calls(view, v["pid"], whose, width)
    lines += heading("Round trip and retransmits")
    return [*lines, *counters(view.catalogue["tcp-rtt"], record, view.bits)]


def _us(us: float) -> str:
    return units.duration(us * 1000)


def _fields(catalogue: Mapping[str, Hook]) -> tuple[Field, ...]:
    hook = catalogue["tcp-rtt"]
    return (
        of(hook, "raddr", width=16, rank=0, grow=40),
        of(hook, "rport", title="Port", width=6, rank=1),
        of(hook, "laddr", width=16, rank=8, grow=40),
        of(hook, "lport", width=6, rank=8),
        of(hook, "comm", width=12, rank=1, grow=16),
        of(hook, "pid", width=7, rank=5),
        of(hook, "srtt_us", width=8, rank=0, colour=mark_of),
        of(hook, "min_us", width=8, rank=2),
        of(hook, "last_us", width=8, rank=6),
        of(hook, "p50_us", width=8, rank=4),
        of(hook, "p99_us", width=8, rank=3),
        of(hook, "retransmits", title="Retr/s", width=7, rank=1, colour=mark_of),
        of(hook, "samples", title="Smpl/s", width=7, rank=7),
        of(hook, "from", width=9, rank=6),
        unusual_field(1),
        )  # fmt: skip


PANE = Pane(
    name="rtt",
    title="RTT",
    order=40,
    hooks=("tcp-rtt",),
    fields=_fields,
    sort="srtt_us",
    records=_records,
    trouble=_trouble,
    detail=_detail,
    figures=(_TRIP, _SENT_AGAIN),
    worst=_worst,
    needs=("tcp-rtt",),
    calm="no connections measured",
)
