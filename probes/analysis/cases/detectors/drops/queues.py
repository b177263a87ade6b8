"""Claims from queues and tables: a listener's queue, SYN cookies, connection tracking, qdiscs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from probes import units
from probes.analysis.cases.claim import Evidence
from probes.analysis.cases.detectors.drops.lost import FLOOR, Lost, netns_of
from probes.analysis.cases.drop_causes import (
    ACCEPT,
    CONNTRACK,
    FRAGMENTS,
    NEIGHBOURS,
    ORPHANS,
    REQUEST,
    TIME_WAIT,
    DropPlace,
)
from probes.analysis.cases.drop_claim import port_of
from probes.analysis.classes import DropClass
from probes.analysis.facts import Facts
from probes.analysis.many import rows_of
from probes.analysis.snapshot_row import SnapshotRow
from probes.units import DASH

QUEUE = 10
"""Connections from which an accept queue stands, if that is `QUEUE_SHARE` of its room."""
QUEUE_SHARE = 0.2
QUEUE_FULL = 0.9
"""The share of its room from which a table is what has none."""
LISTENER, COOKIES, TRACKING = "listener", "TcpExtTCPReqQFullDoCookies", "ConntrackDrop"
"""Locations of rows that tell of queues and tables; their packets are lost elsewhere, if at all."""


class _KernelTable(NamedTuple):
    """A counter of what a table of the kernel has no room for, or cannot complete.

    text: behind the rate. unit: of what the table has.
    """

    cause: str
    text: str
    unit: str = ""


_FRAGMENTS = _KernelTable(FRAGMENTS, "datagrams never complete: fragments are missing, or no room")
_TABLES: Mapping[str, _KernelTable] = {
    "TcpExtTCPTimeWaitOverflow": _KernelTable(
        TIME_WAIT, "closed without TIME_WAIT: late segments may meet new connections", "sockets"
    ),
    "TcpExtTCPAbortOnMemory": _KernelTable(ORPHANS, "connections aborted", "orphans"),
    "NeighTableFulls": _KernelTable(NEIGHBOURS, "without an entry for their next hop", "entries"),
    "IpReasmFails": _FRAGMENTS,
    "Ip6ReasmFails": _FRAGMENTS,
}
TELLING = (LISTENER, COOKIES, TRACKING, *_TABLES)


def told_by_queue(row: SnapshotRow) -> Iterator[Lost]:
    """Yield what a row of a queue tells: one that stands, or that requests were too many for."""
    place = DropPlace(DASH, netns_of(row), *port_of(row))
    if row.stored["location"] == LISTENER:
        waiting, room = row.number("waiting"), row.number("room")
        if waiting > room or (waiting >= QUEUE and waiting >= QUEUE_SHARE * room):
            text = f"{waiting:.0f} of {room:.0f} wait to be accepted at {place.service}"
            one = Lost(ACCEPT, place, DropClass.HARM, "socket", 0.0, 0, [row], waiting, room,
                        [Evidence("drops", text, waiting)])  # fmt: skip
            one.among = str(row.stored["reason"]).partition(" of ")[2]
            yield one
    elif not (rate := row.rate("packets")):
        return
    elif (table := _TABLES.get(str(row.stored["location"]))) is not None:
        yield from _told_by_table(row, table, place, rate)
    elif row.stored["location"] == TRACKING:
        text = f"connection tracking is full: {units.count(rate)}/s dropped"
        if room := row.number("room"):
            text += f", {row.number('waiting'):.0f} of {room:.0f} entries in use"
        yield Lost(CONNTRACK, place, DropClass.HARM, "stack", rate, 0, [row], 0, 0,
                    [Evidence("drops", text, rate)])  # fmt: skip
    else:
        text = f"{units.count(rate)}/s requests answered with a SYN cookie: a SYN flood?"
        yield Lost(REQUEST, place, DropClass.HARM, "socket", rate, 0, [row], 0, 0,
                    [Evidence("drops", text, rate)])  # fmt: skip


def _told_by_table(
    row: SnapshotRow, table: _KernelTable, place: DropPlace, rate: float
) -> Iterator[Lost]:
    if rate < FLOOR:
        return
    waiting, room = row.number("waiting"), row.number("room")
    text = f"{units.count(rate)}/s {table.text}"
    if table.unit and room:
        text += f"; {waiting:.0f} of {room:.0f} {table.unit}"
    full = waiting >= QUEUE_FULL * room > 0
    yield Lost(table.cause, place, DropClass.HARM, "socket" if full else "stack", rate, 0, [row],
                waiting * full, room * full, [Evidence("drops", text, rate)])  # fmt: skip


def dropped_by_qdiscs(facts: Facts, lost: Iterable[Lost]) -> Iterator[Lost]:
    """Yield what queues drop where no reason tells it, and name the queue where one does."""
    told = {one.place.at: one for one in lost if one.cause == "QDISC_DROP"}
    for row in rows_of(facts, "qdiscs"):
        rate = row.rates.get("dropped") or 0.0
        if rate < FLOOR or row.stored["parent"] != "root":
            continue
        at, kind = str(row.stored["interface"]), str(row.stored["kind"])
        text = f"{units.count(rate)}/s dropped by {kind} {row.stored['handle']} at {at}"
        one = told.get(at)
        if one is None:
            one = Lost("QDISC_DROP", DropPlace(at), DropClass.HARM, "qdisc", rate)
            yield one
        one.texts.insert(0, Evidence("qdiscs", text, rate))
