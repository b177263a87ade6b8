"""Packets that are lost: where, why, at which port, whose.

A claim for each cause at each interface; where each port has a queue or a buffer of its own, for
each port. What several counters have of the same packets is one claim, of the greater number.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nlargest

from probes import units
from probes.analysis.anomaly import Threshold
from probes.analysis.cases.claim import Claim, ClaimedRow, Evidence, Gravity, Where, Who
from probes.analysis.cases.detector import MOST, Detector
from probes.analysis.cases.drop_causes import (
    ACCEPT,
    NO_CARRIER,
    REQUEST,
    RULE_DEPTH,
    DropPlace,
    cause_of,
    described,
    knobs,
    next_steps,
    said,
)
from probes.analysis.classes import DropClass, meaning_of
from probes.analysis.drop_stages import stage_of
from probes.analysis.droppers import ELSEWHERE, HOOKS, RULE, Dropper, droppers
from probes.analysis.facts import Facts
from probes.analysis.freed import NOWHERE, Loss, losses, rows_of_places
from probes.analysis.history import Figure
from probes.analysis.many import rows_of
from probes.analysis.snapshot import Snapshot
from probes.analysis.snapshot_row import SnapshotRow
from probes.model import State
from probes.units import DASH, Unit

FLOOR = 5.0
"""Lost packets a second below which nothing is claimed."""
ELSEWHERE_FLOOR = 20.0
"""The same of another network namespace, in which nobody counts what comes."""
MUCH, SOME, FEW_OF_ALL = 0.1, 0.01, 0.001
"""Shares from which a refusal, a loss, and a loss at one socket harm somebody."""
MAIN = 0.5
"""The share of a cause's packets from which a port is named."""
QUEUE = 10
"""Connections from which an accept queue stands, if that is `QUEUE_SHARE` of its room."""
QUEUE_SHARE = 0.2
_TIED = 0.1
"""The share of a cause's packets from which a port is tied to it."""
_ALL_LOST = frozenset({"NEIGH_FAILED", NO_CARRIER, "IP_OUTNOROUTES"})
_UNSURE = frozenset({"PACKET_SOCK_ERROR", "QUEUE_PURGE"})
"""Losses that may harm nobody: a capture's copies, and what a connection left when it ended."""
_MOST_WHO = 3
LISTENER, COOKIES = "listener", "TcpExtTCPReqQFullDoCookies"
"""Locations of rows that tell of queues, and lose no packets."""
_LINKS = "netlink"
"""Location of rows that a rung without a tracepoint has of links' counters."""
_CALLERS, _ACCEPTS = "syscall-processes", ("accept", "accept4")
_TELLING = (LISTENER, COOKIES)
_RECEIVED = frozenset({"nic", "xdp", "tc-ingress", "socket"})
_SENT = frozenset({"tc-egress", "qdisc", "wire"})
_DOWN = frozenset({"down", "lowdown", "gone", "dormant"})
_PROTOCOLS = {6: "tcp", 17: "udp"}


@dataclass(slots=True)
class _Lost:
    """Packets that are lost for one cause at one place. number: of kinds, such as ports."""

    cause: str
    place: DropPlace
    drop_class: DropClass
    stage: str
    rate: float = 0.0
    number: int = 0
    rows: list[SnapshotRow] = field(default_factory=list)
    waiting: float = 0.0
    room: float = 0.0
    texts: list[Evidence] = field(default_factory=list)

    @property
    def key(self) -> Hashable:
        """What its history is kept by."""
        return self.place._replace(port=None, protocol=""), self.cause


def _lost(facts: Facts) -> list[_Lost]:
    """Return what is lost, one for each cause and place, without what programs drop."""
    rows = rows_of(facts, "drops")
    found: dict[Hashable, _Lost] = {}
    climbing, programs = _climbing(facts), droppers(facts).managed
    for loss in losses(rows):
        told = loss.layer and loss.interface in programs  # by the detector of programs
        if not told and not (climbing and _vague(loss)):
            for one in _of_loss(loss):
                _merge(found, one)
    for row in rows_of_places(rows, _TELLING):
        for one in _telling(row):
            _merge(found, one)
    return [one for one in found.values() if one.rate >= FLOOR or one.waiting]


def _vague(loss: Loss) -> bool:
    """Return whether it is a counter of links, or of all sockets, which reasons tell apart."""
    return loss.location == _LINKS or (loss.location[:1].isupper() and not _port(loss.rows[0])[1])


def _climbing(facts: Facts) -> bool:
    """Return whether a better rung is about to tell the same packets with their reasons."""
    found = facts.of("drops")
    return any(s.status.state is State.ATTACHING or s.interval is None for s in found)


def _merge(found: dict[Hashable, _Lost], one: _Lost) -> None:
    known = found.setdefault((one.cause, one.place), one)
    if known is not one:
        known.rate += one.rate
        known.number += one.number
        known.rows += one.rows
        known.texts += one.texts
        known.waiting, known.room = max(known.waiting, one.waiting), max(known.room, one.room)


def _of_loss(loss: Loss) -> Iterator[_Lost]:
    first = loss.rows[0]
    cause = loss.layer or cause_of(loss.reason, loss.location, _port(first)[1])
    at = DASH if loss.interface == NOWHERE else loss.interface
    place = DropPlace(at, _netns(first))
    drop_class, sentence = meaning_of(first.stored)
    stage = stage_of(loss.reason, loss.location)
    if not described(cause).by_port:
        text = Evidence("drops", _text(loss.rate, loss.reason, at, "", sentence), loss.rate)
        yield _Lost(cause, place, drop_class, stage, loss.rate, loss.number, [*loss.rows], 0, 0,
                    [text])  # fmt: skip
        return
    for row in loss.rows:
        port, rate = _port(row), row.rate("packets")
        text = Evidence("drops", _text(rate, loss.reason, at, _service(row), sentence), rate)
        here = DropPlace(DASH, place.netns, *port)
        yield _Lost(cause, here, drop_class, stage, rate, 1, [row], 0, 0, [text])


def _netns(row: SnapshotRow) -> str:
    """Return "" for this host's own namespace, else its number, or "?"."""
    _, _, named = str(row.stored["interface"]).partition(" (netns ")
    if named:
        return named.removesuffix(")")
    netns = row.stored.get("netns")
    return "" if netns is None else str(netns or "?")


def _text(rate: float, reason: str, at: str, service: str, sentence: str) -> str:
    where = "" if at == DASH else f" at {at}"
    return f"{units.count(rate)}/s {reason}{f' {service}' if service else ''}{where}: {sentence}"


def _port(row: SnapshotRow) -> tuple[str, int | None]:
    protocol, port = row.stored.get("protocol"), row.stored.get("dport")
    if not isinstance(port, int) or protocol in (None, DASH):
        return "", None
    return str(protocol), port


def _service(row: SnapshotRow) -> str:
    protocol, port = _port(row)
    return f"{protocol}:{port}" if port is not None else ""


def _telling(row: SnapshotRow) -> Iterator[_Lost]:
    """Yield what a row of a queue tells: one that stands, or that requests were too many for."""
    place = DropPlace(DASH, _netns(row), *_port(row))
    if row.stored["location"] == LISTENER:
        waiting, room = row.number("waiting"), row.number("room")
        if waiting > room or (waiting >= QUEUE and waiting >= QUEUE_SHARE * room):
            text = f"{waiting:.0f} of {room:.0f} wait to be accepted at {place.service}"
            yield _Lost(ACCEPT, place, DropClass.HARM, "socket", 0.0, 0, [row], waiting, room,
                        [Evidence("drops", text, waiting)])  # fmt: skip
    elif rate := row.rate("packets"):
        text = f"{units.count(rate)}/s requests answered with a SYN cookie: a SYN flood?"
        yield _Lost(REQUEST, place, DropClass.HARM, "socket", rate, 0, [row], 0, 0,
                    [Evidence("drops", text, rate)])  # fmt: skip


def _of_queues(facts: Facts, lost: Iterable[_Lost]) -> Iterator[_Lost]:
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
            one = _Lost("QDISC_DROP", DropPlace(at), DropClass.HARM, "qdisc", rate)
            yield one
        one.texts.insert(0, Evidence("qdiscs", text, rate))


# -- claims ------------------------------------------------------------------------------------


class _Links:
    """Interfaces by name."""

    def __init__(self, facts: Facts) -> None:
        self._rows = {str(row.stored["interface"]): row for row in rows_of(facts, "interfaces")}

    def get(self, name: str) -> SnapshotRow | None:
        return self._rows.get(name)

    def rows(self, name: str) -> Iterator[ClaimedRow]:
        """Yield the row of the pane that an interface is shown in."""
        if (row := self._rows.get(name)) is not None:
            yield ClaimedRow("interfaces", row.key)
        else:
            yield ClaimedRow("interfaces", (ELSEWHERE, NOWHERE if name == DASH else name))

    def received(self) -> float:
        """Return what all of them receive a second."""
        return sum([row.rate("rx_packets") for row in self._rows.values()])

    def down(self, name: str) -> bool:
        row = self._rows.get(name)
        return row is not None and row.stored["state"] in _DOWN


def _claims(facts: Facts) -> Sequence[Claim]:
    return every_claim(facts)[:MOST]


def every_claim(facts: Facts) -> Sequence[Claim]:
    """Return all claims of lost packets, the worst first."""
    return facts.once_read(_claimed, *HOOKS, "qdiscs", _CALLERS)


def _claimed(facts: Facts) -> Sequence[Claim]:
    lost = _lost(facts)
    lost += _of_queues(facts, lost)
    found = [*_of_links(facts), *_of_rules(facts)]
    if lost or found:
        links = _Links(facts)
        found += [c for one in _settled(lost, links) if (c := _claim(facts, one, links))]
    return sorted(found, key=_rank, reverse=True)


def _rank(claim: Claim) -> tuple[float, ...]:
    return claim.severity, not claim.own, not claim.where.netns, claim.struck, claim.now


def _settled(lost: Iterable[_Lost], links: _Links) -> Iterator[_Lost]:
    """Yield them with the cause that the interface's state tells, and none told twice."""
    every = list(lost)
    queue = sum([one.rate for one in every if one.cause == "QDISC_DROP" and not one.place.netns])
    for one in every:
        if one.cause in ("QDISC_DROP", "tx_dropped") and links.down(one.place.at):
            one.cause, one.stage = NO_CARRIER, "wire"
        if one.cause == "UdpSndbufErrors" and not one.place.netns:
            one.rate -= queue  # datagrams that a queue drops are counted there once more
            if one.rate < max(FLOOR, 0.1 * queue):
                continue
        yield one


def _claim(facts: Facts, lost: _Lost, links: _Links) -> Claim | None:
    ports = _ports(lost)
    place = lost.place
    if place.port is None and ports:
        (protocol, port), rate = max(ports.items(), key=lambda one: one[1])
        if rate >= MAIN * lost.rate:
            place = place._replace(protocol=protocol, port=port)
    share, of = _share(lost, links)
    who = _who(lost.rows)
    verdict = facts.verdict(LOST, lost.key)
    severity = _severity(lost, place, share, held=bool(who))
    if severity is None:
        # Little of all may be all of a service: said if it is new, or what is usual is not known.
        new = verdict.usual is not None or facts.learning(("drops",))
        if not (who and new and lost.drop_class is DropClass.REFUSAL):
            return None
        severity = Gravity.NOTICE
    failing = _failing_accepts(facts, who) if lost.cause == ACCEPT else []
    errors = [errno for *_, errno in failing[:1]]
    now = lost.rate or lost.waiting
    at = place.at if place.at != DASH else _seen_at(lost.rows)
    return Claim(
        id=_id(place, lost.cause),
        severity=severity,
        what=": ".join([_what(lost, place, several=bool(ports)), *errors]),
        now=now,
        unit=Unit.PACKETS,
        pane="interfaces",
        share=share,
        of=of,
        usual=verdict.usual if verdict.since is not None else facts.usual(LOST, lost.key),
        since=verdict.since if verdict.usual is not None else None,
        struck=now if severity is Gravity.ALARM else 0.0,
        who=who,
        where=Where(
            None if at == DASH else at.partition(" (netns ")[0],
            place.netns,
            lost.stage,
            place.port,
        ),
        evidence=tuple(lost.texts[:_MOST_WHO]),
        next=next_steps(lost.cause, place),
        knobs=knobs(lost.cause, place),
        rows=(*links.rows(at), *(ClaimedRow("drops", row.key) for row in lost.rows)),
        figure=LOST,
        key=lost.key,
        ties=frozenset({*_tied(lost, ports), *failing}),
        depth=described(lost.cause).depth,
    )


def _tied(lost: _Lost, ports: Mapping[tuple[str, int], float]) -> Iterator[Hashable]:
    """Yield the ports that make much of it, or all if all that is sent there is lost; an errno."""
    least = 0.0 if lost.cause in _ALL_LOST else _TIED * lost.rate
    for port, part in ports.items():
        if part >= least:
            yield ("port", *port)
    errno = described(lost.cause).errno
    if errno and not lost.place.netns:
        yield "errno", "connect", errno


def _failing_accepts(facts: Facts, who: Iterable[Who]) -> list[tuple[str, str, str]]:
    """Return how the accepts of a queue's own process fail: then nobody empties it."""
    pids = {one.pid for one in who}
    return [
        ("errno", str(s.id.target), str(row["errno"]))
        for s in facts.of(_CALLERS)
        if s.id.target in _ACCEPTS
        for row in s.rows
        if row["pid"] in pids and row.rate("failures")
    ]


def _what(lost: _Lost, place: DropPlace, *, several: bool) -> str:
    if lost.waiting and lost.cause == ACCEPT and lost.waiting <= lost.room:
        return f"accept queue of {place.service} stands"
    if not several or place.port is not None or lost.number == 1:
        return said(lost.cause, place)
    if lost.cause == "NO_SOCKET":
        return f"nobody listens at {lost.number} ports of {place.named}"
    return f"{said(lost.cause, place)}, {lost.number} ports"


def _id(place: DropPlace, cause: str) -> str:
    at = place.at if place.at != DASH else f"netns {place.netns}" if place.netns else "host"
    service = "" if cause == NO_CARRIER else place.service  # whatever is sent there is lost
    return "/".join(filter(None, ("drops", at, cause, service)))


def _ports(lost: _Lost) -> Mapping[tuple[str, int], float]:
    """Return packets a second by service port, of the rows that lose most."""
    found: dict[tuple[str, int], float] = {}
    for row in lost.rows:
        protocol, port = _port(row)
        if port is not None:
            found[protocol, port] = found.get((protocol, port), 0) + row.rate("packets")
    return found


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


def _seen_at(rows: Iterable[SnapshotRow]) -> str:
    """Return the interface that most of the packets of a socket came by."""
    found = [row for row in rows if row.stored["interface"] != DASH]
    most = max(found, key=lambda row: row.rate("packets"), default=None)
    return str(most.stored["interface"]) if most is not None else DASH


def _share(lost: _Lost, links: _Links) -> tuple[float | None, str]:
    """Return the share of what came to that place, and what that was; None: it is not counted."""
    if lost.waiting:
        return min(lost.waiting / max(lost.room, 1), 1.0), "its room"
    at = lost.place.at if lost.place.at != DASH else _seen_at(lost.rows)
    if not lost.rate or lost.place.netns:
        return None, ""
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


def _received(lost: _Lost, received: float) -> bool:
    """Return whether it was lost on its way in, if the link has received as much at all."""
    if lost.cause.startswith("NEIGH") or lost.cause == NO_CARRIER or lost.stage in _SENT:
        return False
    ways = {str(row.stored.get("way")) for row in lost.rows} & {"in", "came", "out", "through"}
    if ways and ways <= {"out", "through"}:
        return False
    return lost.stage in _RECEIVED or lost.rate <= 1.25 * received


def _severity(lost: _Lost, place: DropPlace, share: float | None, *, held: bool) -> Gravity | None:
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


# -- what no reason tells ----------------------------------------------------------------------


def _of_links(facts: Facts) -> Iterator[Claim]:
    """Yield what the link itself drops: beyond what the kernel's code and programs do."""
    if _climbing(facts):
        return
    found = droppers(facts)
    for row in rows_of(facts, "interfaces"):
        rates = row.rates
        if any(map(rates.get, ("rx_dropped", "tx_dropped", "rx_missed"))):
            for one in found.of(row).by:
                if one.where in ("NIC", "link") and one.rate >= FLOOR:
                    yield _of_link(facts, row, one)


def _of_link(facts: Facts, row: SnapshotRow, one: Dropper) -> Claim:
    name, sent = str(row.stored["interface"]), one.name.startswith("tx")
    down = sent and row.stored["state"] in _DOWN
    cause = NO_CARRIER if down else one.name
    place = DropPlace(name)
    share = one.rate / (row.rate("tx_packets" if sent else "rx_packets") + one.rate)
    severity = Gravity.ALARM if share >= SOME else Gravity.NOTICE
    key = place, cause
    return Claim(
        id=_id(place, cause),
        severity=severity,
        what=said(cause, place),
        now=one.rate,
        unit=Unit.PACKETS,
        pane="interfaces",
        share=share,
        of=f"packets {'sent to' if sent else 'that came to'} {name}",
        usual=facts.usual(LOST, key),
        struck=one.rate if severity is Gravity.ALARM else 0.0,
        where=Where(name, stage="wire" if sent else "nic"),
        evidence=(Evidence("interfaces", f"{units.count(one.rate)}/s {one.name}", one.rate),),
        next=next_steps(cause, place),
        rows=(ClaimedRow("interfaces", row.key),),
        depth=described(cause).depth,
    )


def _of_rules(facts: Facts) -> Iterator[Claim]:
    """Yield what our own drop rules drop: told, and no alarm."""
    for one in facts.dropping:
        rate, name, what = one.per_s or 0.0, one.enforced.interface, one.enforced.rule.what
        if rate < FLOOR:
            continue
        link = next((r for r in rows_of(facts, "interfaces") if r["interface"] == name), None)
        received = link.rate("rx_packets") if link is not None else 0.0
        port = one.enforced.rule.port
        protocol = _PROTOCOLS.get(one.enforced.rule.protocol or 0)
        yield Claim(
            id=f"drops/{name}/rule {what}",
            severity=Gravity.NOTICE,
            what=f"ebpftop's drop rule at {name}: {what}",
            now=rate,
            unit=Unit.PACKETS,
            pane="interfaces",
            share=min(rate / max(received, rate), 1.0),
            of=f"packets received at {name}",
            who=(Who(rule=what, rate=rate),),
            where=Where(name, stage=one.stage, port=port),
            evidence=(Evidence("drops", f"{units.count(rate)}/s {RULE} {what} at {name}", rate),),
            rows=() if link is None else (ClaimedRow("interfaces", link.key),),
            ties=frozenset({("port", protocol, port)} if port and protocol else ()),
            depth=RULE_DEPTH + 1,
            own=True,
        )


# -- history -----------------------------------------------------------------------------------


def _by_cause(snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    found: dict[Hashable, float | None] = {}
    for snapshot in snapshots:
        for loss in losses(snapshot.rows):
            for one in _of_loss(loss):
                found[one.key] = (found.get(one.key) or 0) + one.rate
    return found


LOST = Figure(
    "lost-by-cause", "lost/s", Unit.PACKETS, "drops", _by_cause, wrong=True,
    rule=Threshold(FLOOR, alarm=FLOOR),
)  # fmt: skip

DETECTOR = Detector("drops", ("drops",), _claims, (LOST,))
