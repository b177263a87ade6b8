"""Severity of packet loss: by its share of the packets that reached the same stage."""

from __future__ import annotations

from collections.abc import Iterable

from probes.analysis.cases.claim import Gravity
from probes.analysis.cases.detectors.drops.interfaces import Links
from probes.analysis.cases.detectors.drops.lost import Lost
from probes.analysis.cases.drop_causes import FRAGMENTS, NO_CARRIER, DropPlace, described
from probes.analysis.classes import DropClass
from probes.analysis.snapshot_row import SnapshotRow
from probes.units import DASH

ELSEWHERE_FLOOR = 20.0
"""Lost packets a second of another network namespace, while it is not known what comes there."""
MUCH, SOME, FEW_OF_ALL = 0.1, 0.01, 0.001
"""Shares from which a refusal, a loss, and a loss at one socket harm somebody."""
_UNSURE = frozenset({"PACKET_SOCK_ERROR", "QUEUE_PURGE"})
"""Losses that may harm nobody: a capture's copies, and what a connection left when it ended."""
_RECEIVED = frozenset({"nic", "xdp", "tc-ingress", "socket"})
_BEFORE_IP = frozenset({"nic", "xdp", "tc-ingress"})
_SENT = frozenset({"tc-egress", "qdisc", "wire"})


def severity_of(lost: Lost, place: DropPlace, share: float | None, *, held: bool) -> Gravity | None:
    """Return how bad it is by class and share; None: it is nothing."""
    if share is None and place.netns and lost.rate < ELSEWHERE_FLOOR:
        return None
    part = 1.0 if share is None else share
    if lost.cause == "NO_SOCKET" and place.protocol != "udp":
        # It was answered by a RST: those who asked are told, and tell of it themselves.
        return Gravity.NOTICE if part >= MUCH else None
    if lost.drop_class is DropClass.REFUSAL:
        if part >= (SOME if held else MUCH) and place.port is not None:
            return Gravity.ALARM
        return Gravity.NOTICE if part >= SOME else None
    if lost.cause in _UNSURE or (lost.cause.startswith("at ") and part < MUCH):
        return Gravity.NOTICE if part >= SOME else None
    if part >= SOME or (held and part >= FEW_OF_ALL):
        return Gravity.ALARM
    return Gravity.NOTICE if part >= FEW_OF_ALL else None


def share_of(lost: Lost, links: Links) -> tuple[float | None, str]:
    """Return the share of what came to that place, and what that was; None: it is not counted."""
    if lost.waiting:
        return min(lost.waiting / max(lost.room, 1), 1.0), "its limit"
    if lost.cause == FRAGMENTS and lost.place.at == DASH and not lost.place.netns:
        whole = links.counted("IpReasmOKs", "Ip6ReasmOKs")
        return lost.rate / (lost.rate + whole), "datagrams that came in fragments"
    at = lost.place.at if lost.place.at != DASH else seen_at(lost.rows)
    if not lost.rate:
        return None, ""
    if lost.place.netns:
        return _share_elsewhere(lost, links.namespace(lost.place.netns))
    if at == DASH and described(lost.cause).by_port:
        came = links.received()
        return (min(lost.rate / came, 1.0), "packets received") if came else (None, "")
    link = links.get(at)
    if link is None:
        return None, ""
    received, sent = link.rate("rx_packets"), link.rate("tx_packets")
    if _received(lost, received):
        return min(lost.rate / max(received, lost.rate), 1.0), f"packets received at {at}"
    return lost.rate / (sent + lost.rate), f"packets sent to {at}"


def _share_elsewhere(lost: Lost, there: SnapshotRow | None) -> tuple[float | None, str]:
    """Return the share of the IP packets of another namespace, which the kernel counts there."""
    if there is None:
        return None, ""
    received, sent = (there.rates.get(name) or 0 for name in ("rx_packets", "tx_packets"))
    before = lost.rate if lost.stage in _BEFORE_IP else 0.0
    inward = _received(lost, received + before)
    came = received + before if inward else sent
    if not came:
        return None, ""  # all of it comes in at another time than it is counted
    return min(lost.rate / came, 1.0), f"packets {'received' if inward else 'sent'} there"


def _received(lost: Lost, received: float) -> bool:
    """Return whether it was lost on its way in, if the link has received as much at all."""
    if lost.cause.startswith("NEIGH") or lost.cause == NO_CARRIER or lost.stage in _SENT:
        return False
    ways = {str(row.stored.get("way")) for row in lost.rows} & {"in", "came", "out", "through"}
    if ways and ways <= {"out", "through"}:
        return False
    return lost.stage in _RECEIVED or lost.rate <= 1.25 * received


def seen_at(rows: Iterable[SnapshotRow]) -> str:
    """Return the interface that most of the packets of a socket came by."""
    found = [row for row in rows if row.stored["interface"] != DASH]
    most = max(found, key=lambda row: row.rate("packets"), default=None)
    return str(most.stored["interface"]) if most is not None else DASH
