"""Claims of programs that hold up each packet."""

from __future__ import annotations

from collections.abc import Mapping

from probes import units
from probes.analysis.by_row import ByRow
from probes.analysis.cases.claim import Claim, ClaimedRow, Evidence, Gravity, Where, Who
from probes.analysis.cases.detectors.programs.attached import (
    DEPTH,
    AttachedProgram,
    held,
    holders,
    next_steps,
    stage_of,
    way_of,
)
from probes.analysis.facts import Facts
from probes.analysis.history import Figure
from probes.analysis.snapshot_row import SnapshotRow
from probes.units import Unit

TAKES: Mapping[str, Figure] = {
    hook: Figure(f"{hook}-time", "time a packet", Unit.NS, hook, ByRow("ns_per_run"))
    for hook in ("xdp-programs", "tc-programs")
}
"""Figures of the time for a packet, by the hook that has the program's row."""
SLOW_NS, BUSY = 10_000.0, 0.02
"""Time for a packet, and share of one CPU, from which a program holds packets up."""


def slow_claim(
    facts: Facts, link: SnapshotRow, sits: AttachedProgram, taken: float, busy: float
) -> Claim:
    """Return a claim of a program that holds up each packet. taken: ns. busy: of one CPU."""
    row, one, name = sits.row, sits.dropper, str(link.stored["interface"])
    time = units.show(taken, Unit.NS)
    often = f"{units.count(one.rate)} packets/s, {units.percent(100 * busy)} of a CPU"
    text = f"{time} a packet, {often}, at {name} ({way_of(sits)})"
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
        who=(Who(program=one.name, rate=one.rate), *holders(facts, row)),
        where=Where(name, stage=stage_of(sits)),
        evidence=(Evidence(sits.hook, f"{text}{held(facts, row)}", taken),),
        next=next_steps(row, name),
        rows=(ClaimedRow("interfaces", link.key), ClaimedRow(sits.hook, row.key)),
        figure=TAKES[sits.hook],
        key=row.key,
        ties=frozenset({("program", one.name)}),
        depth=DEPTH - 1,
    )
