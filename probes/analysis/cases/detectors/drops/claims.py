"""Claims of lost packets, one for each cause and place: with who, which ports, and errnos."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from heapq import nlargest

from probes.analysis.cases.cause_counters import (
    is_ordinary,
    since_boot_of,
    together_of,
    with_usual,
)
from probes.analysis.cases.claim import Claim, ClaimedRow, Gravity, Where, Who
from probes.analysis.cases.detectors.drops.by_cause import LOST
from probes.analysis.cases.detectors.drops.harm import seen_at, severity_of, share_of
from probes.analysis.cases.detectors.drops.interfaces import Links
from probes.analysis.cases.detectors.drops.lost import Lost, claim_id
from probes.analysis.cases.drop_causes import (
    ACCEPT,
    CONNTRACK,
    FRAGMENTS,
    NEIGHBOURS,
    NO_CARRIER,
    TIME_WAIT,
    DropPlace,
    described,
    knobs,
    next_steps,
    said,
)
from probes.analysis.cases.drop_claim import (
    TIED,
    Ports,
    drop_claim,
    main_port,
    ports_of,
    tied_ports,
)
from probes.analysis.classes import DropClass
from probes.analysis.facts import Facts
from probes.analysis.many import SomeRows, places_with, rows_of
from probes.analysis.since_boot import Average
from probes.analysis.snapshot_row import SnapshotRow
from probes.columns.lexicon import Lexicon
from probes.units import DASH

_OF_TABLES = frozenset({CONNTRACK, FRAGMENTS, NEIGHBOURS})
_ALL_LOST = frozenset({"NEIGH_FAILED", NO_CARRIER, "IP_OUTNOROUTES"})
_MOST_WHO = 3
"""Processes, and sentences of evidence, of a claim."""
CALLERS, CONNECTS = "syscall-processes", "tcp-connect"
_LEXICON = Lexicon()
_ACCEPTS, _SENDS = ("accept", "accept4"), ("sendto", "sendmsg", "sendmmsg", "write", "writev")


def lost_claim(facts: Facts, lost: Lost, links: Links) -> Claim | None:
    """Return a claim of what is lost; None: too little of all that comes."""
    ports = ports_of(lost.rows)
    place = lost.place
    if place.port is None:
        protocol, port = main_port(ports, lost.rate)
        place = place._replace(protocol=protocol, port=port)
    share, of = share_of(lost, links)
    who = _who(lost.rows) or _closers(facts, lost)
    verdict = facts.verdict(LOST, lost.key)
    boot = since_boot_of(facts, lost.cause, place)
    severity = _gravity(facts, lost, severity_of(lost, place, share, held=bool(who)), who, boot)
    if severity is None:
        return None
    failing = list(_failing(facts, lost, who))
    errors = [errno for *_, errno in failing[:1]] if lost.cause == ACCEPT else []
    at = place.at if place.at != DASH else seen_at(lost.rows)
    claim = drop_claim(
        claim_id(place, lost.cause),
        severity,
        ": ".join([_what(lost, place, several=bool(ports)), *errors]),
        lost.rate or lost.waiting,
        share=share,
        of=of,
        who=who,
        where=Where(
            None if at == DASH else at.partition(" (netns ")[0],
            place.netns,
            lost.stage,
            place.port,
        ),
        evidence=lost.texts[:_MOST_WHO],
        next=next_steps(lost.cause, place),
        rows=(*links.rows(at), *(ClaimedRow("drops", row.key) for row in lost.rows)),
        ties={*_tied(lost, ports), *failing},
        depth=described(lost.cause).depth,
    )
    usual = verdict.usual if verdict.since is not None else facts.usual(LOST, lost.key)
    return replace(
        with_usual(claim, usual, boot, together_of(lost.cause, place)),
        since=verdict.since if verdict.usual is not None else None,
        knobs=knobs(lost.cause, place),
        figure=LOST,
        key=lost.key,
    )


def _gravity(
    facts: Facts, lost: Lost, by_share: Gravity | None, who: Sequence[Who], boot: Average | None
) -> Gravity | None:
    """Return how bad it is; None: it is little, and not new."""
    new = facts.verdict(LOST, lost.key).usual is not None
    severity = by_share
    if severity is None and who and lost.drop_class is DropClass.REFUSAL:
        # Little of all may be all of a service: said if it is new, or what is usual is not known.
        severity = Gravity.NOTICE if new or facts.learning(("drops",)) else None
    as_ever = not new and not lost.waiting and is_ordinary(boot, lost.rate)
    return None if severity is Gravity.NOTICE and as_ever else severity


def _tied(lost: Lost, ports: Ports) -> Iterator[Hashable]:
    """Yield the ports that make much of it, or all if all that is sent there is lost; an errno."""
    yield from tied_ports(ports, 0.0 if lost.cause in _ALL_LOST else TIED * lost.rate)
    if lost.cause in _OF_TABLES:
        yield lost.cause, lost.place.netns  # one table, whatever interface the packets come by
    errno = described(lost.cause).errno
    if errno and not lost.place.netns:
        yield "errno", "connect", errno
    if lost.cause == "PROTO_MEM" and not lost.place.netns:
        yield "memory", lost.place.protocol


def _failing(facts: Facts, lost: Lost, who: Iterable[Who]) -> Iterator[tuple[str, str, str]]:
    """Yield how calls of the processes fail for the same cause: of a queue that nobody empties.

    And of what a rule drops on its way out: the kernel reports that to the sender.
    """
    calls: tuple[str, ...] = _ACCEPTS if lost.cause == ACCEPT else ()
    errnos: tuple[str, ...] = ()
    if lost.drop_class is DropClass.REFUSAL and _goes_out(lost.rows):
        calls, errnos = _SENDS, ("EPERM",)
    pids = {one.pid for one in who}
    for snapshot in facts.of(CALLERS):
        if snapshot.id.target in calls:
            for row in snapshot.rows:
                errno = str(row["errno"])
                if row["pid"] in pids and row.rate("failures") and (not errnos or errno in errnos):
                    yield "errno", str(snapshot.id.target), errno


def _goes_out(rows: Iterable[SnapshotRow]) -> bool:
    return {row.stored.get("way") for row in rows} == {"out"}


def _what(lost: Lost, place: DropPlace, *, several: bool) -> str:
    if lost.waiting and lost.cause == ACCEPT and lost.waiting <= lost.room:
        return f"accept queue of {place.service} is backing up{_at(lost)}"
    if lost.cause == ACCEPT and lost.among:
        return f"{said(lost.cause, place)}{_at(lost)}"
    if not several or place.port is not None or lost.number == 1:
        return said(lost.cause, place)
    if lost.cause == "NO_SOCKET":
        return f"nothing listens on {lost.number} ports of {place.named}"
    return f"{said(lost.cause, place)}, {lost.number} ports"


def _at(lost: Lost) -> str:
    return f" at {lost.among}" if lost.among else ""


def _closers(facts: Facts, lost: Lost) -> tuple[Who, ...]:
    """Return the processes whose own connections make sockets in TIME_WAIT: to that port."""
    if lost.cause != TIME_WAIT or lost.place.port is None:
        return ()
    rows = rows_of(facts, CONNECTS)
    places = places_with(rows, _LEXICON, {"rport": [lost.place.port]}) if len(rows) else []
    found = SomeRows(rows, places, _LEXICON)
    rates = found.rates("connects")
    most = nlargest(_MOST_WHO, enumerate(rates), key=lambda one: one[1])
    some = [(found.row(n), rate) for n, rate in most if rate]
    return tuple(Who.process(row["comm"], row["pid"], rate) for row, rate in some)


def _who(rows: Iterable[SnapshotRow]) -> tuple[Who, ...]:
    """Return the processes that hold the sockets, those that lose most first."""
    found: dict[tuple[str, int | None], float] = {}
    for row in rows:
        comm = row.stored.get("comm")
        if comm and comm != DASH:
            pid = row.stored.get("pid")
            key = str(comm), pid if isinstance(pid, int) else None
            found[key] = found.get(key, 0) + row.rate("packets")
    most = nlargest(_MOST_WHO, found.items(), key=lambda one: one[1])
    return tuple(Who(comm, pid, rate=rate) for (comm, pid), rate in most)
