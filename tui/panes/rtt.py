"""RTT: every connection's round trip time, retransmits and owner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from heapq import nlargest
from typing import TYPE_CHECKING, NamedTuple

from probes import units
from probes.analysis.anomaly import ManyVerdicts, Threshold, Verdict
from probes.analysis.by_row import ByRow
from probes.analysis.history import Figure
from probes.analysis.many import either, many_of, near, numbers_in, verdicts
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import np
from probes.columns.lexicon import Lexicon, Part
from probes.model import Hook
from probes.units import Unit
from tui.session.view import View
from tui.table.fields import Field, TableRow, of, rate_of, values_of
from tui.table.lines import Line
from tui.table.many_records import MARKS, ManyRecords
from tui.table.snapshot_rows import SnapshotRows
from tui.toolkit import related
from tui.toolkit.anomaly_column import mark_of, noted, said, unusual_field, unusual_of, words
from tui.toolkit.detail import counters, graphs, heading, pairs, spread
from tui.toolkit.pane import MOST_WORST, Pane, Trouble, Worst
from tui.toolkit.related import address, before_port, process

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HOOK = "tcp-rtt"
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


_LEXICON = Lexicon(
    Part("comm", lambda comm: f"{comm or '?'} > "), Part("raddr", before_port), Part("rport")
)


def _records(view: View) -> Sequence[TableRow]:
    return view.once(_made)


def _made(view: View) -> Sequence[TableRow]:
    rows = many_of(view, _HOOK)
    if rows is None:
        return [_record(view, row) for row in view.rows(_HOOK)]
    found = view.once_read(_looked_at, _HOOK)
    return ManyRecords(
        SnapshotRows(view.catalogue[_HOOK], rows),
        _LEXICON,
        lambda place: _record(view, rows[place]),
        own={"unusual": unusual_of(found.said)},
        marks=found.marks,
        odd=np.flatnonzero(found.marks),
        written={"unusual": lambda place: words(found.said.at(place)) or found.far(place)},
    )


class _Many(NamedTuple):
    """Many connections. marks: as places in MARKS. trips, least: in us. said: of each."""

    marks: NDArray[np.uint8]
    trips: NDArray[np.float64]
    least: NDArray[np.float64]
    said: ManyVerdicts

    def far(self, place: int) -> str:
        """Return the text for a round trip that is long, whether or not that is unusual."""
        return _instead(float(self.trips[place]), float(self.least[place]))[0]


def _looked_at(view: View) -> _Many:
    rows = many_of(view, _HOOK)
    assert rows is not None
    slow, again = verdicts(view, _TRIP, _HOOK), verdicts(view, _SENT_AGAIN, _HOOK)
    now, least = rows.numbers("srtt_us"), rows.numbers("min_us")
    far = (least > 0) & (now >= _TIMES * least) & (now >= _LEAST_US)
    marks = (far | slow.unusual).astype("u1") + again.unusual
    return _Many(marks, now, least, either(slow.unusual, slow, again))


def _record(view: View, row: SnapshotRow) -> TableRow:
    name = f"{row['comm'] or '?'} > {address(row['raddr'], row['rport'])}"
    slow, again = _verdicts(view, row)
    instead = _instead(row.number("srtt_us"), row.number("min_us"))
    values = values_of(row) | noted(again if slow.since is None else slow, instead)
    return TableRow(row.key, name, values, _mark_of(slow, again, row), row)


def _instead(now: float, least: float) -> tuple[str, str]:
    """Return a long and a short text for a round trip that is long, but not unusual."""
    if not _is_far(now, least):
        return "", ""
    times = now / max(least, 1)
    return f"{times:.0f}x its minimum", f"{times:.0f}x min"


def _mark_of(slow: Verdict, again: Verdict, row: SnapshotRow) -> str:
    late, sent = slow.since is not None or _far(row), again.since is not None
    return "bad" if late and sent else "warn" if late or sent else ""


def _far(row: SnapshotRow) -> bool:
    return _is_far(row.number("srtt_us"), row.number("min_us"))


def _is_far(now: float, least: float) -> bool:
    """Return whether the round trip is far above the path's minimum."""
    return least > 0 and now >= _TIMES * least and now >= _LEAST_US


def _worst(view: View, most: int) -> list[Worst]:
    worst = view.once_read(_weighed, _HOOK).worst[:most]
    return [_finding(view, row) for place, (mark, row) in enumerate(worst) if mark or not place]


class _Weighed(NamedTuple):
    """The worst connections, each with its mark, and how many have a mark."""

    worst: Sequence[tuple[str, SnapshotRow]]
    marked: int


def _weighed(view: View) -> _Weighed:
    if (rows := many_of(view, _HOOK)) is not None:
        found = view.once_read(_looked_at, _HOOK)
        weights = found.trips / 1e6 + 1e3 * found.marks
        first = np.argsort(-weights, kind="stable")[:MOST_WORST].tolist()
        many = [(MARKS[found.marks[place]], rows[place]) for place in first]
        return _Weighed(many, int(np.count_nonzero(found.marks)))
    few = view.rows(_HOOK)
    trips = numbers_in(few, "srtt_us")
    marks = _marks(view, few, trips)
    weighed = [us / 1e6 for us in trips]
    for place, mark in marks.items():
        weighed[place] += 1e3 * MARKS.index(mark)
    worst = nlargest(MOST_WORST, range(len(few)), key=weighed.__getitem__)
    return _Weighed([(marks.get(place, ""), few[place]) for place in worst], len(marks))


def _marks(view: View, rows: Sequence[SnapshotRow], trips: Sequence[float]) -> Mapping[int, str]:
    """Return the marks of connections that have one, by their places."""
    unusual = near(view, _TRIP, _SENT_AGAIN)
    close = [n for n, us in enumerate(trips) if us >= _LEAST_US or rows[n].key in unusual]
    marks = {n: _mark_of(*_verdicts(view, rows[n]), rows[n]) for n in close}
    return {place: mark for place, mark in marks.items() if mark}


def _weight(mark: str, row: SnapshotRow) -> float:
    """Return how bad the connection is; greater is worse."""
    return row.number("srtt_us") / 1e6 + 1e3 * MARKS.index(mark)


def _finding(view: View, row: SnapshotRow) -> Worst:
    """Return a finding on the round trip, or on retransmits if only those are unusual."""
    slow, again = _verdicts(view, row)
    record = _record(view, row)
    now, sent = units.duration(row.number("srtt_us") * 1000), row.rate("retransmits")
    why = f"{process(row)}, minimum {units.duration(row.number('min_us') * 1000)}"
    weight = _weight(record.mark, row)
    record = replace(record, name=address(row["raddr"], row["rport"]))
    if slow.since is None and again.since is not None and not _far(row):
        why = f"SRTT {now}, by {why}"
        return Worst(
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
    return Worst(record, _TRIP, row.key, slow, "SRTT", now, why, weight)


def _verdicts(view: View, row: SnapshotRow) -> tuple[Verdict, Verdict]:
    """Return the verdicts on its round trip and its retransmits."""
    return view.verdict(_TRIP, row.key), view.verdict(_SENT_AGAIN, row.key)


def _trouble(view: View) -> Trouble | None:
    found = view.once_read(_weighed, _HOOK)
    if not found.marked:
        return None
    mark, row = found.worst[0]
    worst = _record(view, row)
    srtt, least = (units.duration(worst.number(n) * 1000) for n in ("srtt_us", "min_us"))
    again = worst.number(_AGAIN)
    more = f", {units.count(again)} retransmits/s" if again else ""
    others = f"  (and {found.marked - 1} more)" if found.marked > 1 else ""
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
