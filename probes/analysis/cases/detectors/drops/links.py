"""Drops by the link itself, without those by the kernel's code and by programs."""

from __future__ import annotations

from collections.abc import Iterator

from probes import units
from probes.analysis.cases.attempts import Attempts
from probes.analysis.cases.cause_counters import is_ordinary, since_boot_of, with_usual
from probes.analysis.cases.claim import Claim, ClaimedRow, Evidence, Gravity, Where
from probes.analysis.cases.detector import MOST
from probes.analysis.cases.detectors.drops.by_cause import LOST
from probes.analysis.cases.detectors.drops.harm import SOME
from probes.analysis.cases.detectors.drops.interfaces import is_down
from probes.analysis.cases.detectors.drops.lost import FLOOR, claim_id, is_climbing
from probes.analysis.cases.drop_causes import (
    FLAPS,
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
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot_row import SnapshotRow

_ERRORS, _CHANGES = ("rx_errors", "tx_errors"), "carrier_changes"
MANY_CHANGES = 4
"""Changes of the carrier in some seconds that are no cable which somebody has moved."""


def link_claims(facts: Facts) -> Iterator[Claim]:
    """Yield what the link itself drops: beyond what the kernel's code and programs do."""
    if is_climbing(facts):
        return
    found = droppers(facts)
    for row in rows_of(facts, "interfaces"):
        rates = row.rates
        own: list[Dropper] = []
        if any(map(rates.get, ("rx_dropped", "tx_dropped", "rx_missed"))):
            own = [d for d in found.of(row).by if d.where in ("NIC", "link")]
        own += [Dropper(rate, "link", n) for n in _ERRORS if (rate := rates.get(n) or 0.0)]
        claims = (_of_link(facts, row, one) for one in own if one.rate >= FLOOR)
        yield from [claim for claim in claims if claim is not None]
    yield from _flaps(facts)


def _flaps(facts: Facts) -> Iterator[Claim]:
    """Yield the links that have come and gone again and again in the last seconds."""
    for snapshot in facts.of("interfaces"):
        if snapshot.interval is None or _CHANGES not in snapshot.hook.places.names:
            continue
        links = Attempts(facts, snapshot)
        many = isinstance(snapshot.rows, ManyRows)
        changes = links.recent(_CHANGES).tolist() if many else links.added(_CHANGES)
        flapping = [n for n, number in enumerate(changes) if number >= MANY_CHANGES]
        for n in flapping[:MOST]:
            yield _of_flaps(links.row(n), changes[n], links.seconds)


def _of_flaps(row: SnapshotRow, changes: float, seconds: float) -> Claim:
    """Return the claim of a link. changes: of its carrier, in so many seconds."""
    name = str(row.stored["interface"])
    place = DropPlace(name)
    text = f"its carrier came or went {changes:.0f} times in {seconds:.0f} s; it is "
    text += "down now" if is_down(row) else "up now"
    return drop_claim(
        claim_id(place, FLAPS),
        Gravity.ALARM,
        said(FLAPS, place),
        changes / seconds,
        share=None,
        of="",
        where=Where(name, stage="wire"),
        evidence=(Evidence("interfaces", text, changes),),
        next=next_steps(FLAPS, place),
        rows=(ClaimedRow("interfaces", row.key),),
        depth=described(FLAPS).depth,
    )


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
