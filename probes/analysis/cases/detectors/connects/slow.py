"""Claims of connects that take long: SYNs are sent again, or the mean is unusual."""

from __future__ import annotations

from collections.abc import Iterator

from probes import units
from probes.analysis.cases.attempts import Attempts
from probes.analysis.cases.claim import Claim, ClaimedRow, Evidence, Gravity, Who
from probes.analysis.cases.detector import MOST
from probes.analysis.cases.detectors.connects.evidence import round_trip
from probes.analysis.cases.detectors.connects.figures import HOOK, SLOW
from probes.analysis.cases.detectors.connects.groups import (
    ClaimedPlaces,
    Destination,
    end,
    whereabouts,
)
from probes.analysis.cases.detectors.connects.harm import LEAST, SHARE
from probes.analysis.cases.detectors.connects.ties import ties_of_place
from probes.analysis.facts import Facts
from probes.analysis.many import many_of, near, verdicts
from probes.arrays import np
from probes.units import Unit

SLOW_BUCKET, SLOW_NS = 29, 5e8
"""Where SYNs that were sent again end: the histogram's bucket, and a mean's least time."""


def slow_claims(facts: Facts, a: Attempts) -> Iterator[ClaimedPlaces]:
    """Yield a claim of each destination to which connects take long."""
    if a.snapshot.interval is None:
        return
    means = a.number("mean_ns")
    late = means >= SLOW_NS
    if many_of(facts, HOOK) is not None:
        late = late | verdicts(facts, SLOW, HOOK).unusual
    else:
        keys = near(facts, SLOW)
        late = late | np.array([row.key in keys for row in a.rows], bool)
    rows = np.flatnonzero(late)
    rows = rows[np.argsort(-means[rows], kind="stable")][:MOST]
    seen: set[Destination] = set()
    for n in rows.tolist():
        row = a.row(n)
        place = row["raddr"], row["rport"]
        if place not in seen and (claim := _slow_claim(facts, a, n, place)) is not None:
            seen.add(place)
            yield claim, np.array([n], np.intp)


def _slow_claim(facts: Facts, a: Attempts, n: int, place: Destination) -> Claim | None:
    row = a.row(n)
    verdict, mean = facts.verdict(SLOW, row.key), row.number("mean_ns")
    buckets = a.buckets(n)
    again, total = sum(buckets[SLOW_BUCKET:]), sum(buckets)
    share = again / total if total else 0.0
    usual = verdict.usual if verdict.since is not None else facts.usual(SLOW, row.key)
    harms = share >= SHARE and again >= LEAST and not (usual or 0) >= SLOW_NS / 2
    if not harms and verdict.since is None:
        return None
    first = facts.since.get(a.snapshot.id)
    since = verdict.since if verdict.usual is not None or first is None else None
    rate = row.rate("established")
    said = [Evidence(HOOK, f"{units.count(rate)}/s are answered", rate)]
    if again:
        text = f"{units.percent(100 * share)} take {units.duration(5.4e8)} or longer"
        said.append(Evidence(HOOK, f"{text}: SYNs are sent again", float(again)))
    address, port = place
    return Claim(
        f"{HOOK}/{end(address, port)}/slow",
        Gravity.ALARM if harms else Gravity.NOTICE,
        f"{end(address, port)}: slow to connect",
        mean,
        Unit.NS,
        "connects",
        share=share if again else None,
        of="connects",
        usual=usual,
        since=since,
        struck=rate * (share if again else 1.0),
        who=(Who.process(row["comm"], row["pid"], rate),),
        where=whereabouts(address, port),
        evidence=(*said, *round_trip(facts, address)),
        next=(f"ss -tni dst {address}",),
        rows=(ClaimedRow(HOOK, row.key),),
        figure=SLOW,
        key=row.key,
        ties=frozenset(ties_of_place(facts, address, [port])),
        depth=1,
    )
