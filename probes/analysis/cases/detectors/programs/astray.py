"""Claims of packets that XDP could not send on, or whose program aborted."""

from __future__ import annotations

from probes import units
from probes.analysis.cases.claim import Claim, ClaimedRow, Evidence, Gravity, Where
from probes.analysis.cases.detectors.programs.attached import DEPTH, freed_for
from probes.analysis.cases.detectors.programs.dropping import SOME
from probes.analysis.cases.drop_claim import TIED, drop_claim, ports_of, tied_ports
from probes.analysis.droppers import Dropper
from probes.analysis.facts import Facts
from probes.analysis.snapshot_row import SnapshotRow


def astray_claim(
    facts: Facts, name: str, row: SnapshotRow, one: Dropper, link: SnapshotRow
) -> Claim | None:
    """Return a claim of packets that XDP could not send on, or of a program that failed."""
    share = one.rate / max(link.rate("rx_packets"), one.rate)
    if share < SOME:
        return None
    return drop_claim(
        f"xdp-errors/{name}/{one.name}",
        Gravity.ALARM,
        f"XDP at {name}: {one.name}",
        one.rate,
        share=share,
        of=f"packets received at {name}",
        where=Where(name, stage="xdp"),
        evidence=(Evidence("xdp-errors", f"{units.count(one.rate)}/s {one.name}", one.rate),),
        next=(f"bpftool net show dev {name}",),
        rows=(ClaimedRow("interfaces", link.key), ClaimedRow("xdp-errors", row.key)),
        ties=tied_ports(ports_of(freed_for(facts, name, "XDP")), TIED * one.rate),
        depth=DEPTH,
    )
