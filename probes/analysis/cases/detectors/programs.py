"""BPF programs of others that drop much of what they see, fail to send it on, or take long."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import NamedTuple

from probes import units
from probes.analysis.anomaly import Threshold
from probes.analysis.cases.claim import Claim, ClaimedRow, Evidence, Gravity, Where, Who
from probes.analysis.cases.detector import MOST, Detector
from probes.analysis.droppers import HOOKS, PROGRAMS, Dropper, Droppers, droppers, error, program
from probes.analysis.facts import Facts
from probes.analysis.freed import losses
from probes.analysis.history import Figure
from probes.analysis.many import rows_of
from probes.analysis.snapshot import Snapshot
from probes.analysis.snapshot_row import SnapshotRow
from probes.units import Unit

FLOOR = 10.0
"""Packets a second below which nothing is claimed."""
MUCH, SOME = 0.1, 0.01
"""Shares of what a program sees from which its drops are an alarm, and unusual."""
DEPTH = 3
SLOW_NS, BUSY = 10_000.0, 0.02
"""Time for a packet, and share of one CPU, from which a program holds packets up."""
_LISTS = {"XDP": "xdp-programs", "TC": "tc-programs"}
_TIED = 0.1


class _Sits(NamedTuple):
    """A program where it sits, and what it drops a second; hook: the one that has its row."""

    hook: str
    row: SnapshotRow
    dropper: Dropper


def _claims(facts: Facts) -> Sequence[Claim]:
    return every_claim(facts)[:MOST]


def every_claim(facts: Facts) -> Sequence[Claim]:
    """Return all claims of programs, the worst first."""
    return facts.once_read(_claimed, *HOOKS, "programs")


def _claimed(facts: Facts) -> Sequence[Claim]:
    found = droppers(facts)
    if not found.managed:
        return ()
    claims: list[Claim] = []
    for link in rows_of(facts, "interfaces"):
        if str(link.stored["interface"]) in found.managed:
            claims += _at(facts, link, found)
    return sorted(claims, key=lambda c: (c.severity, c.struck, c.now), reverse=True)


def _at(facts: Facts, link: SnapshotRow, found: Droppers) -> Iterator[Claim]:
    name = str(link.stored["interface"])
    here = {
        (where, program(row)): (hook, row)
        for where, hook in _LISTS.items()
        for row in facts.rows(hook)
        if row["interface"] == name
    }
    astray = {error(row): row for row in facts.rows("xdp-errors") if row["interface"] == name}
    for (where, named), (hook, row) in here.items():
        taken = row.number("ns_per_run")
        busy = taken * row.rate("packets") / 1e9
        if taken >= SLOW_NS and busy >= BUSY:
            slow = _Sits(hook, row, Dropper(row.rate("packets"), where, named))
            yield _slow(facts, link, slow, taken, busy)
    for one in found.of(link).by:
        if one.where not in PROGRAMS or one.rate < FLOOR:
            continue
        if (sits := here.get((one.where, one.name))) is not None:
            claim = _dropping(facts, name, _Sits(*sits, one), link)
        elif one.name in astray:
            claim = _lost_on_its_way(facts, name, astray[one.name], one, link)
        else:
            claim = _unknown(facts, name, one, link)
        if claim is not None:
            yield claim


def _dropping(facts: Facts, name: str, sits: _Sits, link: SnapshotRow) -> Claim | None:
    row, one = sits.row, sits.dropper
    seen = max(row.rate("packets") or _came(row, link), one.rate)
    share = one.rate / seen
    if share < SOME:
        return None
    severity = Gravity.ALARM if share >= MUCH else Gravity.NOTICE
    way = _way(sits)
    key = name, one.where, str(row["program"])
    ports = _ports(facts, name, one.where)
    rates = f"{units.count(one.rate)}/s of {units.count(seen)}/s"
    text = f"{rates} dropped by {one.where} {one.name} ({way})"
    return Claim(
        id=f"{sits.hook}/{name}/{row['program'] or one.name}",
        severity=severity,
        what=f"{one.where} {one.name} drops at {name}",
        now=one.rate,
        unit=Unit.PACKETS,
        pane="interfaces",
        share=share,
        of=f"packets it sees at {name}",
        usual=facts.usual(DROPPED, key),
        since=_since(facts, DROPPED, key),
        struck=one.rate if severity is Gravity.ALARM else 0.0,
        who=(Who(program=one.name, rate=one.rate), *_holders(facts, row)),
        where=Where(name, stage=_stage(sits), port=_main(ports, one.rate)),
        evidence=(Evidence(sits.hook, text, one.rate),),
        next=(f"bpftool prog show id {row['program_id']}", f"bpftool net show dev {name}"),
        rows=(ClaimedRow("interfaces", link.key), ClaimedRow(sits.hook, row.key)),
        figure=DROPPED,
        key=key,
        ties=frozenset({("program", one.name), *_tied(ports, one.rate)}),
        depth=DEPTH,
    )


def _slow(facts: Facts, link: SnapshotRow, sits: _Sits, taken: float, busy: float) -> Claim:
    """Return a claim of a program that holds up each packet. taken: ns. busy: of one CPU."""
    row, one, name = sits.row, sits.dropper, str(link.stored["interface"])
    time = units.show(taken, Unit.NS)
    text = (
        f"{time} a packet, {units.count(one.rate)} packets/s, {units.percent(100 * busy)} of a CPU"
    )
    return Claim(
        id=f"{sits.hook}/{name}/{row['program'] or one.name}/slow",
        severity=Gravity.ALARM,
        what=f"{one.where} {one.name} takes {time} a packet",
        now=taken,
        unit=Unit.NS,
        pane="interfaces",
        share=busy,
        of="one CPU",
        struck=one.rate,
        who=(Who(program=one.name, rate=one.rate), *_holders(facts, row)),
        where=Where(name, stage=_stage(sits)),
        evidence=(Evidence(sits.hook, f"{text}, at {name} ({_way(sits)})", taken),),
        next=(f"bpftool prog show id {row['program_id']}", f"bpftool net show dev {name}"),
        rows=(ClaimedRow("interfaces", link.key), ClaimedRow(sits.hook, row.key)),
        ties=frozenset({("program", one.name)}),
        depth=DEPTH - 1,
    )


def _came(row: SnapshotRow, link: SnapshotRow) -> float:
    """Return what must have come to it, where its runs are not counted."""
    sent = row.stored.get("direction") == "egress"
    return link.rate("tx_packets" if sent else "rx_packets")


def _way(sits: _Sits) -> str:
    """Return how it is attached: "native", "ingress"."""
    return str(sits.row["mode" if sits.hook == "xdp-programs" else "direction"])


def _stage(sits: _Sits) -> str:
    return "xdp" if sits.hook == "xdp-programs" else f"tc-{sits.row['direction']}"


def _lost_on_its_way(
    facts: Facts, name: str, row: SnapshotRow, one: Dropper, link: SnapshotRow
) -> Claim | None:
    """Return a claim of packets that XDP could not send on, or of a program that failed."""
    came = max(link.rate("rx_packets"), one.rate)
    share = one.rate / came
    if share < SOME:
        return None
    return Claim(
        id=f"xdp-errors/{name}/{one.name}",
        severity=Gravity.ALARM,
        what=f"XDP at {name}: {one.name}",
        now=one.rate,
        unit=Unit.PACKETS,
        pane="interfaces",
        share=share,
        of=f"packets received at {name}",
        struck=one.rate,
        where=Where(name, stage="xdp"),
        evidence=(Evidence("xdp-errors", f"{units.count(one.rate)}/s {one.name}", one.rate),),
        next=(f"bpftool net show dev {name}",),
        rows=(ClaimedRow("interfaces", link.key), ClaimedRow("xdp-errors", row.key)),
        ties=frozenset(_tied(_ports(facts, name, "XDP"), one.rate)),
        depth=DEPTH,
    )


def _unknown(facts: Facts, name: str, one: Dropper, link: SnapshotRow) -> Claim | None:
    """Return a claim of packets that some program drops: which one is not counted."""
    came = max(link.rate("rx_packets"), one.rate)
    ports = _ports(facts, name, one.where)
    severity = Gravity.ALARM if one.rate >= MUCH * came else Gravity.NOTICE
    rows = [r for loss in losses(rows_of(facts, "drops")) if loss.layer == one.where
            and loss.interface == name for r in loss.rows]  # fmt: skip
    return Claim(
        id=f"drops/{name}/{one.where}",
        severity=severity,
        what=f"{one.where} drops packets at {name}",
        now=one.rate,
        unit=Unit.PACKETS,
        pane="interfaces",
        share=one.rate / came,
        of=f"packets received at {name}",
        struck=one.rate if severity is Gravity.ALARM else 0.0,
        where=Where(name, stage=one.where.lower(), port=_main(ports, one.rate)),
        evidence=(Evidence("drops", f"{units.count(one.rate)}/s freed for {one.name}", one.rate),),
        next=(f"bpftool net show dev {name}",),
        rows=(
            ClaimedRow("interfaces", link.key),
            *(ClaimedRow("drops", row.key) for row in rows),
        ),
        ties=frozenset(_tied(ports, one.rate)),
        depth=DEPTH,
    )


# -- what is known besides -----------------------------------------------------------------------


def _ports(facts: Facts, name: str, layer: str) -> Mapping[tuple[str, int], float]:
    """Return what the kernel freed on a program's behalf, by service port."""
    found: dict[tuple[str, int], float] = {}
    for loss in losses(rows_of(facts, "drops")):
        if loss.layer == layer and loss.interface == name:
            for row in loss.rows:
                port = row.stored.get("dport")
                if isinstance(port, int):
                    at = str(row.stored["protocol"]), port
                    found[at] = found.get(at, 0) + row.rate("packets")
    return found


def _tied(ports: Mapping[tuple[str, int], float], rate: float) -> Iterator[Hashable]:
    for at, part in ports.items():
        if part >= _TIED * rate:
            yield ("port", *at)


def _main(ports: Mapping[tuple[str, int], float], rate: float) -> int | None:
    return next((port for (_, port), part in ports.items() if part >= rate / 2), None)


def _holders(facts: Facts, row: SnapshotRow) -> Iterator[Who]:
    """Yield the processes that hold it, where that is known."""
    for held in facts.rows("programs"):
        if held.stored["id"] == row["program_id"]:
            for name in str(held.stored.get("held_by") or "").split(", "):
                comm, _, pid = name.removesuffix(")").rpartition("(")
                if comm and pid.isdigit():
                    yield Who(comm, int(pid))


def _since(facts: Facts, figure: Figure, key: Hashable) -> float | None:
    verdict = facts.verdict(figure, key)
    return verdict.since if verdict.usual is not None else None


# -- history -------------------------------------------------------------------------------------


def _dropped(snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    return {
        (str(row["interface"]), "XDP", str(row["program"])): row.rates["drop"]
        for snapshot in snapshots
        for row in snapshot.rows
    }


DROPPED = Figure(
    "dropped-by-xdp", "drops/s", Unit.PACKETS, "xdp-programs", _dropped, wrong=True,
    rule=Threshold(FLOOR, alarm=FLOOR),
)  # fmt: skip

DETECTOR = Detector("programs", ("xdp-programs", "tc-programs"), _claims, (DROPPED,))
