"""Claims from queues and tables: a listener's queue, SYN cookies, connection tracking, qdiscs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from probes import units
from probes.analysis.cases.claim import Evidence
from probes.analysis.cases.detectors.drops.lost import FLOOR, Lost, netns_of
from probes.analysis.cases.drop_causes import ACCEPT, CONNTRACK, REQUEST, DropPlace
from probes.analysis.cases.drop_claim import port_of
from probes.analysis.classes import DropClass
from probes.analysis.facts import Facts
from probes.analysis.many import rows_of
from probes.analysis.snapshot_row import SnapshotRow
from probes.units import DASH

QUEUE = 10
"""Connections from which an accept queue stands, if that is `QUEUE_SHARE` of its room."""
QUEUE_SHARE = 0.2
LISTENER, COOKIES, TRACKING = "listener", "TcpExtTCPReqQFullDoCookies", "ConntrackDrop"
"""Locations of rows that tell of queues and tables; their packets are lost elsewhere, if at all."""
TELLING = (LISTENER, COOKIES, TRACKING)


def told_by_queue(row: SnapshotRow) -> Iterator[Lost]:
    """Yield what a row of a queue tells: one that stands, or that requests were too many for."""
    place = DropPlace(DASH, netns_of(row), *port_of(row))
    if row.stored["location"] == LISTENER:
        waiting, room = row.number("waiting"), row.number("room")
        if waiting > room or (waiting >= QUEUE and waiting >= QUEUE_SHARE * room):
            text = f"{waiting:.0f} of {room:.0f} wait to be accepted at {place.service}"
            yield Lost(ACCEPT, place, DropClass.HARM, "socket", 0.0, 0, [row], waiting, room,
                        [Evidence("drops", text, waiting)])  # fmt: skip
    elif not (rate := row.rate("packets")):
        return
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
