"""Calls that fail: by their share, their errno, how long, and who is harmed."""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterator, Sequence
from typing import NamedTuple

from probes import units
from probes.analysis.anomaly import CALM, Threshold, Verdict
from probes.analysis.by_row import ByRow
from probes.analysis.cases.attempts import Attempts
from probes.analysis.cases.claim import Claim, ClaimedRow, Evidence, Gravity, Where
from probes.analysis.cases.detectors.calls.callers import NAMED, Caller, callers_of
from probes.analysis.cases.detectors.calls.suspect import BY, HOOK, Suspect, usual_of
from probes.analysis.errnos import ErrnoClass, ErrnoMeaning, errno_meaning
from probes.analysis.facts import Facts
from probes.analysis.failing_calls import (
    LEAST,
    LEAST_GRAVE,
    LOOKED_FOR,
    MONITORING,
    OFTEN,
    PEERS,
    Badness,
    FailingCall,
    badness,
    badness_of_process,
    failing_call,
    suspicion,
)
from probes.analysis.history import Figure
from probes.analysis.many import near, rates_in
from probes.analysis.snapshot_row import SnapshotRow
from probes.units import Unit

ERRORS = Figure(
    "syscall-errors", "errors/s", Unit.COUNT, HOOK, ByRow("errors", rate=True), wrong=True,
    rule=Threshold(LEAST),
)  # fmt: skip
FAILURES = Figure(
    "syscall-failures", "failures/s", Unit.COUNT, HOOK, ByRow("failures", rate=True), wrong=True,
    rule=Threshold(LEAST),
)  # fmt: skip
TCP, _UNCOUNTED = "tcp-connect", 0.8
"""The hook of connects, and the share of those that fail which has to be none of its."""
_LASTING = 3
"""Ticks in which a call has to fail, where nothing but that tells that it is wrong."""


class FailingRow(NamedTuple):
    """A call with failures. figure, verdict: of their history.

    again: whether it failed in the reading before as well; lasts: for longer, or often.
    """

    row: SnapshotRow
    call: str
    found: FailingCall
    figure: Figure
    verdict: Verdict
    again: bool
    lasts: bool


def failing_calls(facts: Facts) -> Iterator[Suspect]:
    """Yield the calls that fail."""
    rows = facts.rows(HOOK)
    unusual = near(facts, ERRORS, FAILURES)
    for row, errors in zip(rows, rates_in(rows, "errors"), strict=True):
        if errors < LEAST_GRAVE:
            continue
        one = _judged(facts, _looked_at(facts, row, unusual))
        if one is not None:
            yield one


def _looked_at(facts: Facts, row: SnapshotRow, unusual: Container[Hashable]) -> FailingRow:
    found, verdict = failing_call(row), CALM
    figure = ERRORS if row.stored.get("failures") is None or not found.errno else FAILURES
    if row.key in unusual:
        verdict = facts.verdict(figure, row.key)
    grave = found.meaning.errno_class is ErrnoClass.GRAVE
    least = LEAST_GRAVE if grave else LEAST
    again = _lasts(facts, figure, row.key, 2, least)
    often = grave or found.rate >= OFTEN
    lasts = again and (often or _lasts(facts, figure, row.key, _LASTING, least))
    return FailingRow(row, str(row["syscall"]), found, figure, verdict, again, lasts)


def _judged(facts: Facts, one: FailingRow) -> Suspect | None:
    call, found, odd = one.call, one.found, one.verdict.since is not None
    bad = badness(one.row, unusual=odd)
    local = _is_local(facts, one)
    suspect = suspicion(call, found, local=local) if one.again or found.rate >= OFTEN else 0
    if not (bad or suspect) or _told_elsewhere(facts, one):
        return None
    if bad is Badness.ALARM and not (odd or one.lasts):
        bad = Badness.NOTICE
    callers = callers_of(facts, call) if found.errno else ()
    harmed = [
        c
        for c in callers
        if badness_of_process(call, c.errno, c.failures, c.calls, lasting=one.lasts, local=local)
    ]
    if harmed:
        bad = Badness.ALARM
    elif callers:
        suspect = 0  # they are known, and nobody is harmed
    rank = float(bad is Badness.ALARM), float(suspect), float(one.again), found.rate
    if not bad or (found.errno is None and one.row["top_errno"] not in LOOKED_FOR):
        return Suspect(call, rank, None)
    return Suspect(call, rank, _claim(facts, one, bad, harmed or callers))


def _told_elsewhere(facts: Facts, one: FailingRow) -> bool:
    """Return whether it is no matter of calls: tried by whom asks what the kernel allows, as we do.

    Or connects, of which their own hook tells who makes them, and where to.
    """
    if one.call in MONITORING:
        return one.found.meaning.errno_class is not ErrnoClass.GRAVE
    by_peers = one.call == "connect" and one.found.errno in PEERS
    known = by_peers and one.verdict.since is None and bool(facts.of(TCP))
    return known and not _is_local(facts, one)


def _is_local(facts: Facts, one: FailingRow) -> bool:
    """Return whether connects are refused that the hook of TCP does not count: of Unix sockets."""
    snapshots = facts.of(TCP)
    counted = one.call == "connect" and all(s.interval is not None for s in snapshots)
    if not (counted and snapshots and one.found.errno == "ECONNREFUSED" and one.again):
        return False
    by_tcp = sum(float(Attempts(facts, s).per_s("failed").sum()) for s in snapshots)
    return one.found.rate - by_tcp >= max(LEAST, _UNCOUNTED * one.found.rate)


def _lasts(facts: Facts, figure: Figure, key: Hashable, ticks: int, least: float) -> bool:
    """Return whether it has failed so often in each of the last ticks."""
    values = facts.series(figure, key, ticks)
    return len(values) == ticks and all(v is not None and v >= least for v in values)


def _claim(facts: Facts, one: FailingRow, bad: Badness, callers: Sequence[Caller]) -> Claim:
    row, call, found, figure, verdict = one[:5]
    errno = found.errno or str(row["top_errno"])
    meaning = found.meaning if found.errno else errno_meaning(call, errno)
    now = found.rate if found.errno else row.rate("errors")
    first = [c for c in callers if c.failures][:NAMED]
    share, of = _share_of(row, found, call, first)
    named = first
    if not found.errno:  # ordinary answers, more than usual: whose
        named = [c for c in callers_of(facts, call, errors=True) if c.failures][:NAMED]
    told = call == "connect" and errno in PEERS and not (first and _is_local(facts, one))
    grave = bad is Badness.ALARM and not told
    return Claim(
        id=f"{HOOK}/{call}/{errno}",
        severity=Gravity.ALARM if grave else Gravity.NOTICE,
        what=f"{call} fails with {errno}",
        now=now,
        unit=Unit.COUNT,
        share=share,
        of=of,
        usual=usual_of(facts, figure, row.key, verdict),
        since=verdict.since if verdict.usual is not None else None,
        struck=sum([c.failures for c in first]) or now,
        who=tuple([c.who(c.failures) for c in named]),
        where=Where(call=call),
        evidence=tuple(_counted(row, found, meaning, first)),
        next=tuple(_next(meaning, first)),
        knobs=(meaning.knob,) if meaning.knob else (),
        pane=HOOK,
        rows=(ClaimedRow(HOOK, row.key),),
        figure=figure,
        key=row.key,
        ties=frozenset({("errno", call, errno)}),
    )


def _share_of(
    row: SnapshotRow, found: FailingCall, call: str, callers: Sequence[Caller]
) -> tuple[float | None, str]:
    """Return which share of whose calls fails."""
    if callers:
        made = sum([c.calls for c in callers])
        whose = f"{callers[0].comm}'s" if len(callers) == 1 else "their"
        return min(sum([c.failures for c in callers]) / made, 1.0), f"{whose} {call} calls"
    made = row.rate("calls")
    failed = found.rate if found.errno else row.rate("errors")
    return (min(failed / made, 1.0) if made else None), f"{call} calls"


def _counted(
    row: SnapshotRow, found: FailingCall, meaning: ErrnoMeaning, callers: Sequence[Caller]
) -> Iterator[Evidence]:
    yield Evidence(HOOK, meaning.sentence.removesuffix("."), None)
    if found.errno:
        share = units.percent(100 * found.by_errno)
        yield Evidence(HOOK, f"{share} of all {row['syscall']} calls on this host", found.by_errno)
    for caller in callers[1:]:
        yield Evidence(BY, f"{caller.name} {units.count(caller.failures)}/s")


def _next(meaning: ErrnoMeaning, callers: Sequence[Caller]) -> Iterator[str]:
    pid = next((c.pid for c in callers if c.pid is not None), None)
    if meaning.next and "ADDRESS" not in meaning.next:
        yield meaning.next if pid is None else meaning.next.replace("PID", str(pid))
    if pid is not None:
        yield f"strace -f -Z -p {pid}"
