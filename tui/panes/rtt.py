"""RTT: every connection's round trip time, retransmits and owner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from probes import units
from probes.analysis.anomaly import ManyVerdicts, Verdict
from probes.analysis.cases.detectors.trips import trips
from probes.analysis.cases.detectors.trips.loss import SENT_AGAIN
from probes.analysis.cases.detectors.trips.slow import LEAST_US, TIMES_MINIMUM, TRIP, is_far
from probes.analysis.ends import is_accepted, services
from probes.analysis.many import either, many_of, rows_of, verdicts
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import np
from probes.columns.cells import NumberCells
from probes.columns.lexicon import Lexicon, Part
from probes.model import Hook
from probes.units import Unit
from tui.session.view import View
from tui.table.fields import Field, TableRow, of, rate_of, values_of
from tui.table.lines import Line, fit
from tui.table.many_records import MARKS, ManyRecords
from tui.table.snapshot_rows import SnapshotRows
from tui.toolkit import related
from tui.toolkit.anomaly_column import mark_of, noted, said, unusual_field, unusual_of, words
from tui.toolkit.claimed import trouble_of
from tui.toolkit.detail import counters, graphs, heading, pairs, spread
from tui.toolkit.owner import owner_fields, owner_of
from tui.toolkit.pane import Busiest, Pane, Trouble
from tui.toolkit.related import address, before_port, process

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HOOK = "tcp-rtt"
_AGAIN = rate_of("retransmits")

_LEXICON = Lexicon(
    Part("comm", lambda comm: f"{comm or '?'} > "), Part("raddr", before_port), Part("rport")
)


def _records(view: View) -> Sequence[TableRow]:
    return view.once(_made)


def _made(view: View) -> Sequence[TableRow]:
    rows = many_of(view, _HOOK)
    if rows is None:
        marks = trips(view).marks
        return [
            _record(view, row, MARKS[mark])
            for row, mark in zip(view.rows(_HOOK), marks, strict=True)
        ]
    found = view.once_read(_looked_at, _HOOK)
    return ManyRecords(
        SnapshotRows(view.catalogue[_HOOK], rows),
        _LEXICON,
        lambda place: _record(view, rows[place]),
        own={
            "unusual": unusual_of(found.said),
            "service": NumberCells(
                services(rows.numbers("lport"), rows.numbers("rport")).astype("i8")
            ),
        },
        marks=found.marks,
        odd=np.flatnonzero(found.odd),
        written={"unusual": lambda place: words(found.said.at(place)) or found.far(place)},
    )


class _Many(NamedTuple):
    """Many connections. marks: as places in MARKS. trips, least: in us. said: of each."""

    marks: NDArray[np.uint8]
    trips: NDArray[np.float64]
    least: NDArray[np.float64]
    said: ManyVerdicts

    @property
    def odd(self) -> NDArray[np.bool_]:
        """Of which something is said, whether or not it is wrong."""
        far = (self.least > 0) & (self.trips >= TIMES_MINIMUM * self.least)
        return self.said.unusual | far & (self.trips >= LEAST_US)

    def far(self, place: int) -> str:
        """Return the text for a round trip that is long, whether or not that is unusual."""
        return _instead(float(self.trips[place]), float(self.least[place]))[0]


def _looked_at(view: View) -> _Many:
    rows = many_of(view, _HOOK)
    assert rows is not None
    slow, again = verdicts(view, TRIP, _HOOK), verdicts(view, SENT_AGAIN, _HOOK)
    marks = np.asarray(trips(view).marks, "u1")
    now, least = rows.numbers("srtt_us"), rows.numbers("min_us")
    return _Many(marks, now, least, either(slow.unusual, slow, again))


def _record(view: View, row: SnapshotRow, mark: str | None = None) -> TableRow:
    name = f"{row['comm'] or '?'} > {address(row['raddr'], row['rport'])}"
    slow, again = _verdicts(view, row)
    instead = _instead(row.number("srtt_us"), row.number("min_us"))
    values = values_of(row) | noted(again if slow.since is None else slow, instead)
    values["service"] = row["lport"] if _accepted(row) else row["rport"]
    return TableRow(row.key, name, values, _mark(view, row) if mark is None else mark, row)


def _accepted(row: SnapshotRow) -> bool:
    return is_accepted(row["lport"], row["rport"])


def _service(record: TableRow, width: int) -> str:
    """Return the service's port: the remote one, or "> :22" of a connection accepted here."""
    port = units.show(record.values.get("service"), Unit.NUMBER)
    here = record.row is not None and _accepted(record.row)
    return fit(f"> :{port}" if here else port, width, right=True)


def _instead(now: float, least: float) -> tuple[str, str]:
    """Return a long and a short text for a round trip that is long, but not unusual."""
    if not is_far(now, least):
        return "", ""
    times = now / max(least, 1)
    return f"{times:.0f}x its minimum", f"{times:.0f}x min"


def _mark(view: View, row: SnapshotRow) -> str:
    """Return the mark of one connection, as the judgement has it."""
    rows, marks = rows_of(view, _HOOK), trips(view).marks
    if isinstance(rows, ManyRows):
        place = rows.place(row.key)
    else:
        place = next((n for n, one in enumerate(rows) if one.key == row.key), None)
    return "" if place is None else MARKS[marks[place]]


def _busiest(view: View) -> Busiest | None:
    """Return the slowest connection."""
    rows = rows_of(view, _HOOK)
    if not rows:
        return None
    if isinstance(rows, ManyRows):
        row = rows[int(rows.numbers("srtt_us").argmax())]
    else:
        row = max(rows, key=lambda one: one.number("srtt_us"))
    place, us = address(row["raddr"], row["rport"]), row.number("srtt_us")
    record = replace(_record(view, row), name=place)
    least = f"minimum {units.duration(row.number('min_us') * 1000)}"
    why = least if (whose := process(row)) == "?" else f"{whose}, {least}"
    what = f"{place} slowest RTT"
    return Busiest(record, what, TRIP, row.key, us, units.duration(us * 1000), why)


def _verdicts(view: View, row: SnapshotRow) -> tuple[Verdict, Verdict]:
    """Return the verdicts on its round trip and its retransmits."""
    return view.verdict(TRIP, row.key), view.verdict(SENT_AGAIN, row.key)


def _trouble(view: View) -> Trouble | None:
    return trouble_of(trips(view).claims)


def _detail(view: View, record: TableRow, width: int) -> list[Line]:
    v, accepted = record.values, record.row is not None and _accepted(record.row)
    lines = pairs(
        [
            ("Process", f"{record.text('comm')} (pid {v['pid']})"),
            *owner_of(record),
            ("Local", address(v["laddr"], v["lport"])),
            ("Remote", address(v["raddr"], v["rport"])),
            *([("Accepted", f"here, at port {v['lport']}")] if accepted else ()),
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
        Field("service", "Port", Unit.NUMBER, 8, 1, drawn=_service,
              help="the service's port; > :22: the local one, of a connection accepted here"),
        replace(of(hook, "rport", title="Remote port"), width=0),  # mostly the port that is shown
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
        *owner_fields(),
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
    figures=(TRIP, SENT_AGAIN),
    busiest=_busiest,
    needs=("tcp-rtt",),
    calm="no connections measured",
    empty="no connection is open whose round trips are measured",
)
