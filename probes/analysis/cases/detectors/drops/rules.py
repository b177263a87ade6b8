"""Claims of what our own drop rules drop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from probes import units
from probes.analysis.cases.claim import Claim, ClaimedRow, Evidence, Gravity, Where, Who
from probes.analysis.cases.detectors.drops.lost import FLOOR
from probes.analysis.cases.drop_causes import RULE_DEPTH
from probes.analysis.cases.drop_claim import drop_claim
from probes.analysis.droppers import RULE
from probes.analysis.facts import Facts
from probes.analysis.hit_rates import share_of
from probes.analysis.many import rows_of

_PROTOCOLS = {6: "tcp", 17: "udp"}


def rule_claims(facts: Facts) -> Iterator[Claim]:
    """Yield what our own drop rules drop: told, and no alarm."""
    for one in facts.dropping:
        rate, name, what = one.per_s or 0.0, one.enforced.interface, one.enforced.rule.what
        if rate < FLOOR:
            continue
        link = next((r for r in rows_of(facts, "interfaces") if r["interface"] == name), None)
        port = one.enforced.rule.port
        protocol = _PROTOCOLS.get(one.enforced.rule.protocol or 0)
        claim = drop_claim(
            f"drops/{name}/rule {what}",
            Gravity.NOTICE,
            f"ebpftop's drop rule at {name}: {what}",
            rate,
            share=share_of(one, rows_of(facts, "interfaces")),
            of=f"packets received at {name}",
            who=(Who(rule=what, rate=rate),),
            where=Where(name, stage=one.stage, port=port),
            evidence=(Evidence("drops", f"{units.count(rate)}/s {RULE} {what} at {name}", rate),),
            rows=() if link is None else (ClaimedRow("interfaces", link.key),),
            ties={("port", protocol, port)} if port and protocol else (),
            depth=RULE_DEPTH + 1,
        )
        yield replace(claim, own=True)
