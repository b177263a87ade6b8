"""Claims of programs that drop much of what they see, and of those that are not counted."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

from probes import units
from probes.analysis.anomaly import Threshold
from probes.analysis.cases.claim import Claim, ClaimedRow, Evidence, Gravity, Where, Who
from probes.analysis.cases.detectors.drops.by_cause import LOST
from probes.analysis.cases.detectors.programs.attached import (
    DEPTH,
    AttachedProgram,
    came_to,
    freed_for,
    held,
    holders,
    next_steps,
    stage_at,
    stage_of,
    way_of,
)
from probes.analysis.cases.drop_causes import DropPlace
from probes.analysis.cases.drop_claim import TIED, drop_claim, main_port, ports_of, tied_ports
from probes.analysis.droppers import Dropper
from probes.analysis.facts import Facts
from probes.analysis.history import Figure
from probes.analysis.snapshot import Snapshot
from probes.analysis.snapshot_row import SnapshotRow
from probes.units import Unit

FLOOR = 10.0
"""Packets a second below which nothing is claimed."""
MUCH, SOME = 0.1, 0.01
"""Shares of what a program sees from which its drops are an alarm, and unusual."""


def dropping_claim(
    facts: Facts, name: str, sits: AttachedProgram, link: SnapshotRow
) -> Claim | None:
    """Return a claim of what a program drops; None: little of what it sees."""
    row, one = sits.row, sits.dropper
    seen = max(row.rate("packets") or came_to(row, link), one.rate)
    share = one.rate / seen
    if share < SOME:
        return None
    ports = ports_of(freed_for(facts, name, one.where))
    rates = f"{units.count(one.rate)}/s of {units.count(seen)}/s"
    text = f"{rates} dropped by {one.where} {one.name} ({way_of(sits)}){held(facts, row)}"
    claim = drop_claim(
        f"{sits.hook}/{name}/{row['program'] or one.name}",
        Gravity.ALARM if share >= MUCH else Gravity.NOTICE,
        f"{one.where} {one.name} drops at {name}",
        one.rate,
        share=share,
        of=f"packets it sees at {name}",
        who=(Who(program=one.name, rate=one.rate), *holders(facts, row)),
        where=Where(name, stage=stage_of(sits), port=main_port(ports, one.rate)[1]),
        evidence=(Evidence(sits.hook, text, one.rate),),
        next=next_steps(row, name),
        rows=(ClaimedRow("interfaces", link.key), ClaimedRow(sits.hook, row.key)),
        ties={("program", one.name), *tied_ports(ports, TIED * one.rate)},
        depth=DEPTH,
    )
    if row.rates.get("drop") is None:
        return _with_past(facts, claim, LOST, (DropPlace(name), one.where))
    key = name, stage_of(sits), str(row["program"])
    return _with_past(facts, claim, DROPPED[sits.hook], key)


def uncounted_claim(facts: Facts, name: str, one: Dropper, link: SnapshotRow) -> Claim:
    """Return a claim of packets that some program drops: which one is not counted."""
    came = max(link.rate("rx_packets"), one.rate)
    rows = freed_for(facts, name, one.where)
    ports = ports_of(rows)
    claim = drop_claim(
        f"drops/{name}/{one.where}",
        Gravity.ALARM if one.rate >= MUCH * came else Gravity.NOTICE,
        f"{one.where} drops packets at {name}",
        one.rate,
        share=one.rate / came,
        of=f"packets received at {name}",
        where=Where(name, stage=one.where.lower(), port=main_port(ports, one.rate)[1]),
        evidence=(Evidence("drops", f"{units.count(one.rate)}/s freed for {one.name}", one.rate),),
        next=(f"bpftool net show dev {name}",),
        rows=(
            ClaimedRow("interfaces", link.key),
            *(ClaimedRow("drops", row.key) for row in rows),
        ),
        ties=tied_ports(ports, TIED * one.rate),
        depth=DEPTH,
    )
    return _with_past(facts, claim, LOST, (DropPlace(name), one.where))


def _with_past(facts: Facts, claim: Claim, figure: Figure, key: Hashable) -> Claim:
    verdict = facts.verdict(figure, key)
    return replace(
        claim,
        usual=facts.usual(figure, key),
        since=verdict.since if verdict.usual is not None else None,
        figure=figure,
        key=key,
    )


def _dropped(snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    return {
        (str(row["interface"]), stage_at(snapshot.id.hook, row), str(row["program"])): row.rates[
            "drop"
        ]
        for snapshot in snapshots
        for row in snapshot.rows
    }


def _figure(name: str, hook: str) -> Figure:
    return Figure(
        name, "drops/s", Unit.PACKETS, hook, _dropped, wrong=True,
        rule=Threshold(FLOOR, alarm=FLOOR),
    )  # fmt: skip


DROPPED: Mapping[str, Figure] = {
    "xdp-programs": _figure("dropped-by-xdp", "xdp-programs"),
    "tc-programs": _figure("dropped-by-tc", "tc-programs"),
}
"""Figures of drops by program, by the hook that has its row."""
