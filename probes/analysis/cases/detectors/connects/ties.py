"""Ties between connects and other claims: a peer, a port, an errno."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from probes.analysis.cases.attempts import Attempts
from probes.analysis.cases.claim import Claim
from probes.analysis.cases.detectors.connects.groups import Destination, Group
from probes.analysis.cases.detectors.connects.harm import Measured
from probes.analysis.cases.detectors.connects.ways import ERRNOS, errnos
from probes.analysis.cases.drops_by_port import dropped_to
from probes.analysis.facts import Facts
from probes.model import Value


def ties_of(
    facts: Facts, a: Attempts, group: Group, places: Sequence[Destination], m: Measured
) -> Iterator[tuple[object, ...]]:
    """Return what it has in common: the peer, a port if packets to it are dropped, errnos."""
    yield from ties_of_place(facts, group.address, [port for _, port in places])
    errors = [error for way, error in ERRNOS.items() if m.ways[way]]
    if m.ways["unreachable"] or m.ways["other"]:
        errors += errnos(a, group)
    for error in errors:
        yield "errno", "connect", error


def ties_of_place(
    facts: Facts, address: Value, ports: Sequence[Value]
) -> Iterator[tuple[object, ...]]:
    """Yield a destination's: the peer, and the ports to which packets are dropped."""
    if address is not None:
        yield "peer", address
    for port in dict.fromkeys(ports):
        if dropped_to(facts, "tcp", port):
            yield "port", "tcp", port


def errnos_once(claims: Sequence[Claim]) -> list[Claim]:
    """Leave each errno to the gravest claim that has it: calls do not tell where they failed."""
    taken: set[object] = set()
    made = []
    for claim in claims:
        made.append(replace(claim, ties=claim.ties - taken))
        taken |= {tie for tie in claim.ties if isinstance(tie, tuple) and tie[0] == "errno"}
    return made
