"""TCP connections that do not move: the receive window is closed, as one end does not read."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import NamedTuple

from probes import units
from probes.analysis.cases.claim import Claim, ClaimedRow, Evidence, Gravity, Where, Who
from probes.analysis.cases.detector import MOST, Detector
from probes.analysis.cases.detectors.connects.groups import end
from probes.analysis.cases.drop_causes import PLACE_DEPTH
from probes.analysis.facts import Facts
from probes.analysis.snapshot_row import SnapshotRow
from probes.units import Unit

HOOK = "tcp-stalled"
LEAST_NS, LONG_NS = 1e9, 2e9
"""Ages from which a stalled connection is told, and from which it may harm somebody."""
SHARE = 0.1
"""The share of a service's connections that have to be stalled: some readers take their time."""
STRUCK = 10.0
"""How much a stalled connection counts: nobody knows what would go over it."""
_NAMED = 3


class _Service(NamedTuple):
    """What stalled connections have in common.

    peer: the address that does not read, "" where the process here does not. port: of the service.
    """

    comm: str
    pid: int | None
    peer: str
    port: int


def _claims(facts: Facts) -> Sequence[Claim]:
    return facts.once_read(_claimed, HOOK)


def _claimed(facts: Facts) -> Sequence[Claim]:
    groups: dict[_Service, list[SnapshotRow]] = {}
    for row in facts.rows(HOOK):
        if row.number("age_ns") >= LEAST_NS:
            groups.setdefault(_service(row), []).append(row)
    claims = [_claim(facts, service, rows) for service, rows in groups.items()]
    claims.sort(key=lambda claim: (claim.severity, claim.struck), reverse=True)
    return claims[:MOST]


def _service(row: SnapshotRow) -> _Service:
    """Return what a row belongs to; the service's port is the lower one, as clients' are high."""
    pid = row.stored.get("pid")
    peer = str(row.stored["raddr"]) if row.stored["reader"] == "peer" else ""
    port = int(min(row.number("lport"), row.number("rport")))
    return _Service(str(row.stored.get("comm") or ""), pid if isinstance(pid, int) else None,
                    peer, port)  # fmt: skip


def _claim(facts: Facts, service: _Service, rows: Sequence[SnapshotRow]) -> Claim:
    oldest = max([row.number("age_ns") for row in rows])
    alike = max([row.number("alike") for row in rows])
    share = min(len(rows) / alike, 1.0) if alike else None
    grave = oldest >= LONG_NS and (share is None or share >= SHARE)
    who = (Who.process(service.comm, service.pid, 0.0),) if service.comm else ()
    return Claim(
        id="/".join((HOOK, f"{service.peer or 'here'}:{service.port}", service.comm or "-")),
        severity=Gravity.ALARM if grave else Gravity.NOTICE,
        what=_what(service),
        now=oldest,
        unit=Unit.NS,
        pane="hooks",
        share=share,
        of="its connections",
        since=facts.wall - oldest / 1e9,
        struck=STRUCK * len(rows) if grave else 0.0,
        who=who,
        where=Where(port=service.port, address=_address(service, rows)),
        evidence=tuple(_evidence(service, rows, oldest)),
        next=tuple(_next(service)),
        knobs=() if service.peer else ("net.ipv4.tcp_rmem",),
        rows=tuple([ClaimedRow(HOOK, row.key) for row in rows[:MOST]]),
        ties=frozenset(map(_connection, rows)),
        depth=PLACE_DEPTH if not service.peer else PLACE_DEPTH - 1,
    )


def _what(service: _Service) -> str:
    if service.peer:
        return f"{end(service.peer, service.port)} does not read: zero window"
    return f"{service.comm or 'somebody'} does not read port {service.port}: zero window"


def _address(service: _Service, rows: Sequence[SnapshotRow]) -> str | None:
    """Return the peer that all of them have in common; None: several."""
    peers = {str(row.stored["raddr"]) for row in rows}
    return service.peer or (peers.pop() if len(peers) == 1 else None)


def _evidence(service: _Service, rows: Sequence[SnapshotRow], oldest: float) -> Iterator[Evidence]:
    queued = sum([row.number("queued") for row in rows])
    what = "unsent" if service.peer else "unread"
    number = "1 connection" if len(rows) == 1 else f"{len(rows)} connections"
    first = "for" if len(rows) == 1 else "the oldest for"
    text = f"{number} of port {service.port} stalled, {first} {units.duration(oldest)}"
    text += f", {units.octets(queued)} {what}"
    yield Evidence(HOOK, text, float(len(rows)))
    if service.peer and (probes := max([row.number("probes") for row in rows])):
        yield Evidence(HOOK, f"{probes:.0f} zero window probes in a row", probes)
    others = _peers(rows)
    if not service.peer and others:
        yield Evidence(HOOK, f"sent by {others}", None)


def _peers(rows: Sequence[SnapshotRow]) -> str:
    names: Mapping[str, None] = dict.fromkeys(str(row.stored["raddr"]) for row in rows)
    more = f" +{len(names) - _NAMED}" if len(names) > _NAMED else ""
    return ", ".join(list(names)[:_NAMED]) + more


def _next(service: _Service) -> Iterator[str]:
    if service.peer:
        yield f"ss -tonmpi dst {service.peer}"
        return
    if service.pid is not None:
        yield f"strace -f -p {service.pid}"
    yield f"ss -tnmp '( sport = :{service.port} or dport = :{service.port} )'"


def _connection(row: SnapshotRow) -> Hashable:
    """Return what both ends of a connection on this host have in common."""
    here, there = (row.stored[f"{end}addr"] for end in ("l", "r"))
    ends = (here, row.stored["lport"]), (there, row.stored["rport"])
    return "connection", frozenset(ends)


DETECTOR = Detector("stalled connections", (HOOK,), _claims)
"""Whose connections do not move, and who does not read."""
