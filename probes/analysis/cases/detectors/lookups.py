"""Claims of name servers that do not answer, and of look-ups that fail.

`name-servers` sees the sockets of every program from the first seconds on, but no names. Where
`dns` is attached, it says which look-ups fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from probes import units
from probes.analysis.anomaly import Threshold
from probes.analysis.by_row import SumBy
from probes.analysis.cases.attempts import LATELY, Attempts
from probes.analysis.cases.claim import Claim, ClaimedRow, Evidence, Gravity, Where, Who
from probes.analysis.cases.detector import MOST, Detector
from probes.analysis.cases.drops_by_port import dropped_to
from probes.analysis.facts import Facts
from probes.analysis.history import Figure
from probes.arrays import np
from probes.units import Unit

SERVERS, LOOKUPS = "name-servers", "dns"
LATE = Figure(
    "queries-late", "late/s", Unit.COUNT, SERVERS, SumBy(("server",), "late"),
    wrong=True, rule=Threshold(0.5, alarm=0.5),
)  # fmt: skip
"""Queries without an answer for long, of each server."""
SHARE, LEAST = 0.3, 3
"""The share of the queries under way that are late from which somebody is harmed; late ones."""
LITTLE = 0.1
FAILING, FLOOR = 0.1, 0.3
"""The share of a process's look-ups that fail, and failures a second."""
_OF_SERVER = frozenset({"AGAIN", "FAIL", "SYSTEM"})
"""Errors that do not say that there is no such name."""


def _claims(facts: Facts) -> Sequence[Claim]:
    return facts.once_read(_found, SERVERS, LOOKUPS, "drops")


def _found(facts: Facts) -> Sequence[Claim]:
    claims = [*_servers(facts), *_lookups(facts)]
    claims.sort(key=lambda claim: (claim.severity, claim.struck), reverse=True)
    return claims[:MOST]


def _groups(
    facts: Facts, hook: str, by: str, wrong: str
) -> Iterator[tuple[Attempts, Sequence[int]]]:
    """Yield the rows of each server or process, those with most recent trouble first."""
    snapshots = facts.of(hook)
    if len(snapshots) != 1 or not snapshots[0].rows or snapshots[0].interval is None:
        return
    attempts = Attempts(facts, snapshots[0])
    went_wrong = attempts.recent(wrong)
    if not went_wrong.any():
        return
    number = attempts.groups(by)
    sums = np.bincount(number, went_wrong)
    for one in np.argsort(-sums, kind="stable")[:MOST].tolist():
        if sums[one]:
            yield attempts, np.flatnonzero(number == one).tolist()


# -- name servers ------------------------------------------------------------------------------


def _servers(facts: Facts) -> Iterator[Claim]:
    for queries, rows in _groups(facts, SERVERS, "server", "late"):
        if (claim := _server(facts, queries, rows)) is not None:
            yield claim


def _server(facts: Facts, queries: Attempts, rows: Sequence[int]) -> Claim | None:
    """Return what is wrong with a server, given the rows of it."""
    late, seen = (float(queries.recent(name)[rows].sum()) for name in ("late", "seen"))
    rate = float(queries.per_s("late")[rows].sum())
    waiting = int(queries.number("waiting")[rows].sum())
    share = late / seen if seen else 0.0
    (address,) = queries.values("server", rows[:1])
    lately = rate or waiting or any(facts.series(LATE, (address,), LATELY))
    if share < LITTLE or late < 2 or not lately:
        return None
    who = _askers(queries, [n for n in rows if queries.recent("late")[n]])
    oldest = float(queries.number("oldest_ns")[rows].max())
    verdict = facts.verdict(LATE, (address,))
    said = [Evidence(SERVERS, f"{late:.0f} of {seen:.0f} queries to it were late", late)]
    if waiting:
        text = f"{waiting} wait, one of them for {units.duration(oldest)} or longer"
        said.append(Evidence(SERVERS, text, float(waiting)))
    ties: set[tuple[object, ...]] = {("peer", address)}
    ties |= {("process", one.comm, one.pid) for one in who}
    if dropped_to(facts, "udp", 53):
        ties.add(("port", "udp", 53))
    alarm = share >= SHARE and late >= LEAST
    return Claim(
        f"dns/{address}",
        Gravity.ALARM if alarm else Gravity.NOTICE,
        f"name server {address}: no answer in time",
        late / queries.seconds,
        Unit.COUNT,
        "own",
        share=share,
        of="queries under way",
        usual=verdict.usual,
        since=verdict.since if verdict.usual is not None else None,
        struck=late / queries.seconds,
        who=tuple(who),
        where=Where(port=53, address=str(address)),
        evidence=tuple(said),
        next=(f"dig @{address} . NS +time=1 +tries=1",),
        rows=tuple(ClaimedRow(SERVERS, queries.key(n)) for n in rows[:8]),
        figure=LATE,
        key=(address,),
        ties=frozenset(ties),
        depth=1,
    )


def _askers(queries: Attempts, rows: Sequence[int]) -> list[Who]:
    """Return the processes that wait, those with most late queries first."""
    late = queries.recent("late")
    rows = sorted(rows, key=lambda n: -late[n])[:8]
    named = zip(queries.values("comm", rows), queries.values("pid", rows), rows, strict=True)
    return [
        Who(str(comm), pid, rate=float(late[n]) / queries.seconds)
        for comm, pid, n in named
        if isinstance(pid, int)
    ]


# -- look-ups ----------------------------------------------------------------------------------


def _lookups(facts: Facts) -> Iterator[Claim]:
    for lookups, rows in _groups(facts, LOOKUPS, "comm", "failed"):
        failed = lookups.recent("failed")
        bad = [n for n in rows if failed[n] > 0][:64]
        errors = lookups.values("error", bad)
        bad = [n for n, error in zip(bad, errors, strict=True) if error in _OF_SERVER]
        if bad and (claim := _lookup(lookups, rows, bad)) is not None:
            yield claim


def _lookup(lookups: Attempts, rows: Sequence[int], bad: Sequence[int]) -> Claim | None:
    """Return what is wrong with a process's look-ups. bad: those of its rows that fail."""
    failed = float(lookups.recent("failed")[bad].sum())
    made = float(lookups.recent("lookups")[rows].sum())
    rate, share = failed / lookups.seconds, failed / made if made else 0.0
    if not share or not (lookups.per_s("failed")[bad].any() or rate < 1.0):
        return None
    alarm = share >= FAILING and failed >= LEAST and rate >= FLOOR
    comm, pid, host, error = (
        lookups.values(name, bad[:1])[0] for name in ("comm", "pid", "host", "error")
    )
    mean = float(lookups.number("mean_ns")[bad].max())
    more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
    return Claim(
        f"dns/{comm}",
        Gravity.ALARM if alarm else Gravity.NOTICE,
        f"look-ups of {host}{more} fail: {error}",
        rate,
        Unit.COUNT,
        "own",
        share=share,
        of=f"look-ups by {comm}",
        struck=rate,
        who=(Who.process(comm, pid, rate),),
        evidence=(Evidence(LOOKUPS, f"{host}: {error} after {units.duration(mean)}", mean),),
        next=(f"getent ahosts {host}",),
        rows=tuple(ClaimedRow(LOOKUPS, lookups.key(n)) for n in bad[:8]),
        ties=frozenset({("process", comm, pid)}),
    )


DETECTOR = Detector("lookups", (SERVERS,), _claims, (LATE,))
