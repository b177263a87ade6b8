"""Drops by the link itself, without those by the kernel's code and by programs."""

from __future__ import annotations

from collections.abc import Iterator

from probes import units
from probes.analysis.cases.cause_counters import is_ordinary, since_boot_of, with_usual
from probes.analysis.cases.claim import Claim, ClaimedRow, Evidence, Gravity, Where
from probes.analysis.cases.detectors.drops.by_cause import LOST
from probes.analysis.cases.detectors.drops.harm import SOME
from probes.analysis.cases.detectors.drops.interfaces import is_down
from probes.analysis.cases.detectors.drops.lost import FLOOR, claim_id, is_climbing
from probes.analysis.cases.drop_causes import (
    NO_CARRIER,
    DropPlace,
    described,
    next_steps,
    said,
)
from probes.analysis.cases.drop_claim import drop_claim
from probes.analysis.droppers import Dropper, droppers
from probes.analysis.facts import Facts
from probes.analysis.many import rows_of
from probes.analysis.snapshot_row import SnapshotRow


def link_claims(facts: Facts) -> Iterator[Claim]:
    """Yield what the link itself drops: beyond what the kernel's code and programs do."""
    if is_climbing(facts):
        return
    found = droppers(facts)
    for row in rows_of(facts, "interfaces"):
        rates = row.rates
        if any(map(rates.get, ("rx_dropped", "tx_dropped", "rx_missed"))):
            own = [d for d in found.of(row).by if d.where in ("NIC", "link") and d.rate >= FLOOR]
            claims = (_of_link(facts, row, one) for one in own)
            yield from [claim for claim in claims if claim is not None]


def _of_link(facts: Facts, row: SnapshotRow, one: Dropper) -> Claim | None:
    name, sent = str(row.stored["interface"]), one.name.startswith("tx")
    down = sent and is_down(row)
    cause = NO_CARRIER if down else one.name
    place = DropPlace(name)
    share = one.rate / (row.rate("tx_packets" if sent else "rx_packets") + one.rate)
    severity = Gravity.ALARM if share >= SOME else Gravity.NOTICE
    boot = since_boot_of(facts, cause, place)
    if severity is Gravity.NOTICE and is_ordinary(boot, one.rate):
        return None
    claim = drop_claim(
        claim_id(place, cause),
        severity,
        said(cause, place),
        one.rate,
        share=share,
        of=f"packets {'sent to' if sent else 'that came to'} {name}",
        where=Where(name, stage="wire" if sent else "nic"),
        evidence=(Evidence("interfaces", f"{units.count(one.rate)}/s {one.name}", one.rate),),
        next=next_steps(cause, place),
        rows=(ClaimedRow("interfaces", row.key),),
        depth=described(cause).depth,
    )
    return with_usual(claim, facts.usual(LOST, (place, cause)), boot)
