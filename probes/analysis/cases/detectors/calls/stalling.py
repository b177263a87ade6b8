"""Calls that stall: those that wait for a disk, and those that are unusually slow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import nlargest

from probes import units
from probes.analysis.anomaly import CALM, Threshold, Verdict
from probes.analysis.by_row import ByRow
from probes.analysis.cases.claim import Claim, ClaimedRow, Evidence, Gravity, Where
from probes.analysis.cases.detectors.calls.callers import NAMED, Caller, callers_of
from probes.analysis.cases.detectors.calls.suspect import HOOK, Suspect, usual_of
from probes.analysis.facts import Facts
from probes.analysis.failing_calls import Badness
from probes.analysis.history import Figure
from probes.analysis.many import near
from probes.analysis.slow_calls import LEAST_NS, SYNCING, WAITING, slowness
from probes.analysis.snapshot_row import SnapshotRow
from probes.units import Unit

SLOW = Figure(
    "syscall-p99", "p99", Unit.NS, HOOK, ByRow("p99_ns"),
    rule=Threshold(LEAST_NS, times=5, absent=None),
)  # fmt: skip


def stalling_calls(facts: Facts) -> Iterator[Suspect]:
    """Yield the calls that stall."""
    unusual = near(facts, SLOW)
    for row in facts.rows(HOOK):
        call = str(row["syscall"])
        if call in WAITING or not (call in SYNCING or row.key in unusual):
            continue
        verdict = facts.verdict(SLOW, row.key) if row.key in unusual else CALM
        if (one := _judged(facts, row, call, verdict)) is not None:
            yield one


def _judged(facts: Facts, row: SnapshotRow, call: str, verdict: Verdict) -> Suspect | None:
    made, odd = row.rate("calls"), verdict.since is not None
    bad = slowness(call, made, row.number("mean_ns"), row.number("p99_ns"), unusual=odd)
    callers = nlargest(NAMED, callers_of(facts, call), key=lambda c: c.calls * c.mean)
    weighed = [(slowness(call, c.calls, c.mean, c.mean, unusual=False), c) for c in callers]
    late = [c for how, c in weighed if how]
    bad = max([bad, *[how for how, _ in weighed]])
    if not bad:
        return None
    claim = _claim(facts, row, call, bad, verdict, late or callers)
    return Suspect(call, (float(bad is Badness.ALARM), 1.0, 1.0, made), claim)


def _claim(
    facts: Facts,
    row: SnapshotRow,
    call: str,
    bad: Badness,
    verdict: Verdict,
    callers: Sequence[Caller],
) -> Claim:
    usual = usual_of(facts, SLOW, row.key, verdict)
    mean, p99, made = row.number("mean_ns"), row.number("p99_ns"), row.rate("calls")
    return Claim(
        id=f"{HOOK}/{call}/slow",
        severity=Gravity.ALARM if bad is Badness.ALARM else Gravity.NOTICE,
        what=f"{call} is slow",
        now=p99,
        unit=Unit.NS,
        share=min(made * mean / 1e9, 1.0) if usual is None else None,
        of="one thread's time",
        usual=usual,
        since=verdict.since if verdict.usual is not None else None,
        struck=made,
        who=tuple([c.who(c.calls) for c in callers[:NAMED] if c.calls]),
        where=Where(call=call),
        evidence=(
            Evidence(HOOK, f"mean {units.duration(mean)}, p99 {units.duration(p99)}", mean),
            Evidence(HOOK, f"{units.count(made)} calls/s", made),
        ),
        next=("iostat -x 1", "cat /proc/pressure/io") if call in SYNCING else (),
        pane=HOOK,
        rows=(ClaimedRow(HOOK, row.key),),
        figure=SLOW,
        key=row.key,
    )
