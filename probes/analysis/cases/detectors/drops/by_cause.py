"""What the kernel frees and what its counters count, by cause and place; with its history."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

from probes import units
from probes.analysis.anomaly import Threshold
from probes.analysis.cases.claim import Evidence
from probes.analysis.cases.detectors.drops.interfaces import Links
from probes.analysis.cases.detectors.drops.lost import FLOOR, Lost, is_climbing, merge, netns_of
from probes.analysis.cases.detectors.drops.queues import TELLING, told_by_queue
from probes.analysis.cases.drop_causes import (
    CONNTRACK,
    NO_CARRIER,
    DropPlace,
    cause_of,
    described,
)
from probes.analysis.cases.drop_claim import port_of
from probes.analysis.classes import meaning_of
from probes.analysis.drop_stages import stage_of
from probes.analysis.droppers import droppers
from probes.analysis.facts import Facts
from probes.analysis.freed import NOWHERE, Loss, losses, rows_of_places
from probes.analysis.history import Figure
from probes.analysis.many import rows_of
from probes.analysis.snapshot import Snapshot
from probes.analysis.snapshot_row import SnapshotRow
from probes.units import DASH, Unit

_NETLINK = "netlink"
"""Location of rows that a rung without a tracepoint has of links' counters."""


def lost_by_cause(facts: Facts) -> list[Lost]:
    """Return what is lost, one for each cause and place, without what programs drop."""
    rows = rows_of(facts, "drops")
    found: dict[Hashable, Lost] = {}
    climbing, programs = is_climbing(facts), droppers(facts).managed
    for loss in losses(rows):
        told = loss.layer and loss.interface in programs  # by the detector of programs
        if not told and not (climbing and _vague(loss)):
            for one in _of_loss(loss):
                merge(found, one)
    for row in rows_of_places(rows, TELLING):
        for one in told_by_queue(row):
            merge(found, one)
    return [one for one in found.values() if one.rate >= FLOOR or one.waiting]


def settled(lost: Iterable[Lost], links: Links) -> Iterator[Lost]:
    """Yield them with the cause that the interface's state tells, and none told twice."""
    every = list(lost)
    queue = sum([one.rate for one in every if one.cause == "QDISC_DROP" and not one.place.netns])
    every = _told_by_tracking(every)
    for one in every:
        if one.cause in ("QDISC_DROP", "tx_dropped") and links.down(one.place.at):
            one.cause, one.stage = NO_CARRIER, "wire"
        if one.cause == "UdpSndbufErrors" and not one.place.netns:
            one.rate -= queue  # datagrams that a queue drops are counted there once more
            if one.rate < max(FLOOR, 0.1 * queue):
                continue
        yield one


def _told_by_tracking(lost: list[Lost]) -> list[Lost]:
    """Return them with connection tracking as the cause of what it drops: it has no reason."""
    tracking = next((one for one in lost if one.cause == CONNTRACK), None)
    by_firewall = [o for o in lost if o.cause == "NETFILTER_DROP" and not o.place.netns]
    if tracking is None or 2 * tracking.rate < sum([one.rate for one in by_firewall]):
        return lost  # most of it is a rule's
    for one in by_firewall:
        one.cause, one.drop_class = CONNTRACK, tracking.drop_class
        # No rule dropped it, as the reason has it.
        reasons = [told._replace(text=told.text.partition(": ")[0]) for told in one.texts]
        one.texts = [*tracking.texts, *reasons]
    return [one for one in lost if one is not tracking] if by_firewall else lost


def _vague(loss: Loss) -> bool:
    """Return whether it is a counter of links, or of all sockets, which reasons tell apart."""
    _, port = port_of(loss.rows[0])
    return loss.location == _NETLINK or (loss.location[:1].isupper() and not port)


def _of_loss(loss: Loss) -> Iterator[Lost]:
    first = loss.rows[0]
    cause = loss.layer or cause_of(loss.reason, loss.location, port_of(first)[1])
    at = DASH if loss.interface == NOWHERE else loss.interface
    place = DropPlace(at, netns_of(first))
    drop_class, sentence = meaning_of(first.stored)
    stage = stage_of(loss.reason, loss.location)
    if not described(cause).by_port:
        text = Evidence("drops", _text(loss.rate, loss.reason, at, "", sentence), loss.rate)
        yield Lost(cause, place, drop_class, stage, loss.rate, loss.number, [*loss.rows], 0, 0,
                    [text])  # fmt: skip
        return
    for row in loss.rows:
        port, rate = port_of(row), row.rate("packets")
        text = Evidence("drops", _text(rate, loss.reason, at, _service(row), sentence), rate)
        here = DropPlace(DASH, place.netns, *port)
        yield Lost(cause, here, drop_class, stage, rate, 1, [row], 0, 0, [text])


def _text(rate: float, reason: str, at: str, service: str, sentence: str) -> str:
    where = "" if at == DASH else f" at {at}"
    return f"{units.count(rate)}/s {reason}{f' {service}' if service else ''}{where}: {sentence}"


def _service(row: SnapshotRow) -> str:
    protocol, port = port_of(row)
    return f"{protocol}:{port}" if port is not None else ""


def _by_cause(snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    found: dict[Hashable, float | None] = {}
    for snapshot in snapshots:
        for loss in losses(snapshot.rows):
            for one in _of_loss(loss):
                found[one.key] = (found.get(one.key) or 0) + one.rate
        for row in rows_of_places(snapshot.rows, TELLING):
            for one in told_by_queue(row):
                found[one.key] = (found.get(one.key) or 0) + one.rate
    return found


LOST = Figure(
    "lost-by-cause", "lost/s", Unit.PACKETS, "drops", _by_cause, wrong=True,
    rule=Threshold(FLOOR, alarm=FLOOR),
)  # fmt: skip
