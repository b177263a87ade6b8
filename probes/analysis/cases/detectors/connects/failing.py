"""Claims of connects that are refused, unanswered, unreachable or find no local port."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from probes.analysis import since_boot
from probes.analysis.anomaly import LEARN
from probes.analysis.cases.attempts import LATELY, Attempts
from probes.analysis.cases.cause_counters import with_usual
from probes.analysis.cases.claim import Claim, ClaimedRow, Gravity, Who
from probes.analysis.cases.detector import MOST
from probes.analysis.cases.detectors.connects.evidence import evidence_of
from probes.analysis.cases.detectors.connects.figures import BY_PLACE, FAILING, HOOK
from probes.analysis.cases.detectors.connects.groups import (
    CALLERS,
    ROWS,
    ClaimedPlaces,
    Destination,
    Group,
    end,
    groups,
    whereabouts,
)
from probes.analysis.cases.detectors.connects.harm import (
    LASTING,
    LITTLE,
    REFUSED,
    Measured,
    measure,
    scans,
)
from probes.analysis.cases.detectors.connects.ties import ties_of
from probes.analysis.cases.detectors.connects.ways import in_words, next_steps
from probes.analysis.facts import Facts
from probes.arrays import np
from probes.model import Value
from probes.units import Unit

if TYPE_CHECKING:
    from probes.analysis.cases.detectors.connects.groups import Flags

_NOT_HERE = "0"
"""A network namespace that is not this host's, nobody knows which."""
_OF_HISTORY = 8
"""Destinations of a group whose history is asked for."""


def failing_claims(facts: Facts, a: Attempts) -> Iterator[ClaimedPlaces]:
    """Yield a claim of each group that fails or hangs, if that is more than a little."""
    hung = _hung(facts, a)
    for group in groups(a, hung):
        measured = measure(a, group, hung)
        if 0 < measured.failing < REFUSED:
            measured = replace(measured, lasts=_lasts(facts, a, group))
        much = measured.share is None or measured.share >= LITTLE
        told = much and _goes_on(facts, a, group, measured)
        if told and not _tried_both(a, group):
            yield _claim(facts, a, group, measured), group.bad


def _hung(facts: Facts, a: Attempts) -> Flags:
    """Return the rows of which something waits where others did so in vain recently.

    Callers that began together give up together, and their next attempts are not late yet.
    """
    found: Flags = a.number("pending") > 0
    if not found.any():
        return found
    known = np.bincount(a.by_place, a.per_s("established") + a.number("late")) > 0
    found &= ~known[a.by_place]  # nobody is answered there, and nothing else says that it hangs
    rows = np.flatnonzero(found)
    places, first = np.unique(a.by_place[rows], return_index=True)
    first = rows[first[:MOST]].tolist()
    ends = zip(a.values("raddr", first), a.values("rport", first), strict=True)
    hung = [any(facts.series(FAILING, end, LATELY)) for end in ends]
    found &= np.isin(a.by_place, places[:MOST][hung])
    return found


def _goes_on(facts: Facts, a: Attempts, group: Group, m: Measured) -> bool:
    if m.late or float(a.per_s("failed")[group.bad].sum()) > 0:
        return True
    latest = (facts.series(BY_PLACE, place, LATELY) for place in _places(a, group))
    return any(value for values in latest for value in values)


def _lasts(facts: Facts, a: Attempts, group: Group) -> bool:
    """Return whether it failed at the beginning of the last `LASTING` seconds as well."""
    readings = max(round(LASTING / (a.snapshot.interval or 1.0)), 2)
    before = (facts.series(BY_PLACE, place, readings) for place in _places(a, group))
    early = max(readings // 4, 1)
    return any(any(values[:early]) for values in before if len(values) == readings)


def _places(a: Attempts, group: Group) -> list[Destination]:
    """Return the destinations of a group, the worst first; not of a very large one."""
    rows = group.bad[: _OF_HISTORY * 4].tolist()
    pairs = zip(a.values("raddr", rows), a.values("rport", rows), strict=True)
    return list(dict.fromkeys(pairs))[:_OF_HISTORY]


def _tried_both(a: Attempts, group: Group) -> bool:
    """Whether who fails by IPv6 is answered by IPv4: that is how both are tried."""
    if group.address is None or group.port is None or ":" not in str(group.address):
        return False
    callers = set(a.values("comm", group.bad[:ROWS].tolist()))
    answered = a.recent("established")
    rows = np.flatnonzero((answered > 0) & (a.number("rport") == group.port))[:512].tolist()
    pairs = zip(rows, a.values("comm", rows), a.values("raddr", rows), strict=True)
    others = sum(
        answered[n] for n, comm, raddr in pairs if comm in callers and ":" not in str(raddr)
    )
    return bool(
        others >= 0.5 * (a.recent("failed")[group.bad].sum() + a.number("late")[group.bad].sum())
    )


def _claim(facts: Facts, a: Attempts, group: Group, m: Measured) -> Claim:
    places = _places(a, group)
    single = group.port is not None and group.address is not None
    alarm = m.harms and not scans(a, group, m)
    way, rows, who = m.way, group.bad[:ROWS].tolist(), _callers(a, group, m)
    where = whereabouts(group.address, group.port, _elsewhere(who))
    claim = Claim(
        _id(a, group),
        Gravity.ALARM if alarm else Gravity.NOTICE,
        f"{group.named}: {in_words(a, group, way)}",
        m.unanswered,
        Unit.COUNT,
        "connects",
        share=m.share,
        of="connects",
        since=_since(facts, a, places, m),
        struck=m.unanswered,
        who=who,
        where=where,
        evidence=tuple(evidence_of(facts, a, group, m, who)),
        next=next_steps(way, places[0], group, who),
        rows=tuple(ClaimedRow(HOOK, a.key(n)) for n in rows),
        figure=FAILING if single else None,
        key=places[0],
        ties=frozenset(ties_of(facts, a, group, places, m)),
        depth=1,
    )
    boot = None if where.netns else since_boot.of_counters(facts, ("TcpAttemptFails",))
    usual = facts.usual(BY_PLACE, places[0])
    return with_usual(claim, usual, boot, "to all destinations") if single else claim


def _elsewhere(who: Sequence[Who]) -> str:
    """Return the namespace of processes without a pid here, as those of another container."""
    return _NOT_HERE if who and all(one.pid == 0 for one in who) else ""


def _id(a: Attempts, group: Group) -> str:
    if group.number == 1:
        return f"{HOOK}/{end(group.address, group.port)}"
    (comm,) = a.values("comm", group.bad[:1].tolist())
    place = group.address if group.port is None else f":{group.port}"
    return f"{HOOK}/{place}/{comm}"


def _since(facts: Facts, a: Attempts, places: Sequence[Destination], m: Measured) -> float | None:
    """Return since when it is so, in Unix seconds; None: since before it was watched."""
    now = a.snapshot.sample
    first = facts.since.get(a.snapshot.id) or now
    # Where another rung has taken over, what it counts first did not begin then.
    begin = first.wall + (2.0 if first.epoch == now.epoch else 2.0 + LEARN)
    verdicts = [facts.verdict(BY_PLACE, place).since for place in places]
    found = [since for since in verdicts if since is not None]
    if m.late:
        found.append(now.wall - m.oldest)
    earliest = min(found, default=None)
    return earliest if earliest is not None and earliest > begin else None


def _callers(a: Attempts, group: Group, m: Measured) -> tuple[Who, ...]:
    """Return the processes with most of it, and their rates."""
    rows = group.bad[:64]
    now = a.per_s("failed")[rows]
    if not now.any():
        now = a.recent("failed")[rows] / a.seconds
    if m.late > m.seen:
        now = np.maximum(now, a.recent("connects")[rows] / a.seconds)
    by: dict[tuple[Value, Value], float] = {}
    listed = rows.tolist()
    named = zip(a.values("comm", listed), a.values("pid", listed), now.tolist(), strict=True)
    for comm, pid, rate in named:
        by[comm, pid] = by.get((comm, pid), 0.0) + rate
    first = sorted(by, key=by.__getitem__, reverse=True)[:CALLERS]
    return tuple(Who.process(comm, pid, by[comm, pid]) for comm, pid in first)
