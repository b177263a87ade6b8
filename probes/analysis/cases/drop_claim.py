"""Construction of claims of lost packets, whoever loses them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping

from probes.analysis.cases.claim import Claim, ClaimedRow, Evidence, Gravity, Where, Who
from probes.analysis.snapshot_row import SnapshotRow
from probes.units import DASH, Unit

Ports = Mapping[tuple[str, int], float]
"""Packets a second by service port: ("tcp", 8080)."""
_MAIN = 0.5
"""The share of the packets from which a port is named."""
TIED = 0.1
"""The share of the packets from which a port is tied to the claim."""


def drop_claim(
    id: str,
    severity: Gravity,
    what: str,
    rate: float,
    *,
    share: float | None,
    of: str,
    where: Where,
    evidence: Iterable[Evidence],
    rows: Iterable[ClaimedRow],
    depth: int,
    ties: Iterable[Hashable] = (),
    who: Iterable[Who] = (),
    next: tuple[str, ...] = (),
) -> Claim:
    """Return a claim of lost packets; somebody waits for those of an alarm. rate: packets/s."""
    return Claim(
        id,
        severity,
        what,
        rate,
        Unit.PACKETS,
        "interfaces",
        share=share,
        of=of,
        struck=rate if severity is Gravity.ALARM else 0.0,
        who=tuple(who),
        where=where,
        evidence=tuple(evidence),
        next=next,
        rows=tuple(rows),
        ties=frozenset(ties),
        depth=depth,
    )


def port_of(row: SnapshotRow) -> tuple[str, int | None]:
    """Return a row's protocol and service port; "", None: it tells none."""
    protocol, port = row.stored.get("protocol"), row.stored.get("dport")
    if not isinstance(port, int) or protocol in (None, DASH):
        return "", None
    return str(protocol), port


def ports_of(rows: Iterable[SnapshotRow]) -> Ports:
    """Return packets a second by service port, of rows of drops that tell it."""
    found: dict[tuple[str, int], float] = {}
    for row in rows:
        protocol, port = port_of(row)
        if port is not None:
            found[protocol, port] = found.get((protocol, port), 0) + row.rate("packets")
    return found


def main_port(ports: Ports, rate: float) -> tuple[str, int | None]:
    """Return the port that makes most of it; "", None: none does."""
    port = max(ports, key=ports.__getitem__, default=None)
    return port if port is not None and ports[port] >= _MAIN * rate else ("", None)


def tied_ports(ports: Ports, least: float) -> Iterator[Hashable]:
    """Yield the ties of the ports that make at least so much of it, packets a second."""
    for port, part in ports.items():
        if part >= least:
            yield ("port", *port)
