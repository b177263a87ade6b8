"""System calls that fail or stall: how much of them, by which errno, by whom."""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterator, Mapping, Sequence
from heapq import nlargest
from typing import NamedTuple

from probes import units
from probes.analysis.anomaly import CALM, Threshold, Verdict
from probes.analysis.by_row import ByRow
from probes.analysis.cases.claim import Claim, ClaimedRow, Evidence, Gravity, Where, Who
from probes.analysis.cases.detector import MOST, Detector
from probes.analysis.errnos import ErrnoClass, ErrnoMeaning, errno_meaning
from probes.analysis.facts import Facts
from probes.analysis.failing_calls import (
    LEAST,
    LEAST_GRAVE,
    LOOKED_FOR,
    MONITORING,
    PEERS,
    Badness,
    FailingCall,
    badness,
    badness_of_process,
    failing_call,
    suspicion,
)
from probes.analysis.history import Figure
from probes.analysis.many import SomeRows, near, rates_in
from probes.analysis.slow_calls import LEAST_NS, SYNCING, WAITING, slowness
from probes.analysis.snapshot_row import SnapshotRow
from probes.columns.lexicon import Lexicon
from probes.model import HookId
from probes.units import Unit

HOOK, BY = "syscalls", "syscall-processes"
ERRORS = Figure(
    "syscall-errors", "errors/s", Unit.COUNT, HOOK, ByRow("errors", rate=True), wrong=True,
    rule=Threshold(LEAST),
)  # fmt: skip
FAILURES = Figure(
    "syscall-failures", "failures/s", Unit.COUNT, HOOK, ByRow("failures", rate=True), wrong=True,
    rule=Threshold(LEAST),
)  # fmt: skip
SLOW = Figure(
    "syscall-p99", "p99", Unit.NS, HOOK, ByRow("p99_ns"),
    rule=Threshold(LEAST_NS, times=5, absent=None),
)  # fmt: skip
_LASTING = 3
"""Ticks in which a call has to fail, where nothing but that tells that it is wrong."""
_NAMED = 4
"""Processes that are named."""
_LEXICON = Lexicon()


class Calls(NamedTuple):
    """System calls that fail or stall.

    claims: the worst first. marks: how grave it is of a row, by its key; 0 of others.
    """

    claims: Sequence[Claim]
    marks: Mapping[Hashable, int]
    wanted: HookId | None


def calls(facts: Facts) -> Calls:
    """Return what is wrong with system calls; computed once for each reading."""
    return facts.once_read(_judged, HOOK, BY)


def _judged(facts: Facts) -> Calls:
    found = [*_failing(facts), *_stalling(facts)]
    claims = [one.claim for one in found if one.claim is not None]
    claims.sort(key=lambda claim: (claim.severity, claim.struck), reverse=True)
    marks: dict[Hashable, int] = {}
    for claim in claims:
        for row in claim.rows:
            marks[row.key] = max(marks.get(row.key, 0), int(claim.severity))
    wanted = max([one for one in found if any(one.suspect)], key=_suspected, default=None)
    return Calls(claims[:MOST], marks, wanted and HookId(BY, wanted.call))


def _suspected(one: _Suspect) -> tuple[float, ...]:
    return one.suspect


class _Suspect(NamedTuple):
    """A call that is looked at. suspect: how much its processes are worth knowing.

    claim: None while it is not known to be wrong.
    """

    call: str
    suspect: tuple[float, ...]
    claim: Claim | None


# -- calls that fail -------------------------------------------------------------------------------


class _Caller(NamedTuple):
    """A process that makes a call. calls, failures: a second. mean: of the call, in ns.

    pid: None where it has none here, as it is in another pid namespace.
    """

    comm: str
    pid: int | None
    calls: float
    failures: float
    errno: str | None
    mean: float

    @property
    def share(self) -> float:
        return min(self.failures / self.calls, 1.0) if self.calls else 0.0

    def who(self, rate: float) -> Who:
        return Who(self.comm, self.pid, rate=rate)

    @property
    def name(self) -> str:
        return f"{self.comm}[{self.pid}]" if self.pid is not None else self.comm


def _failing(facts: Facts) -> Iterator[_Suspect]:
    rows = facts.rows(HOOK)
    unusual = near(facts, ERRORS, FAILURES)
    for row, errors in zip(rows, rates_in(rows, "errors"), strict=True):
        if errors < LEAST_GRAVE:
            continue
        one = _failing_one(facts, _looked_at(facts, row, unusual))
        if one is not None:
            yield one


class _Row(NamedTuple):
    """A call with failures. figure, verdict: of their history.

    again: whether it failed in the reading before as well; lasts: for longer.
    """

    row: SnapshotRow
    call: str
    found: FailingCall
    figure: Figure
    verdict: Verdict
    again: bool
    lasts: bool


def _looked_at(facts: Facts, row: SnapshotRow, unusual: Container[Hashable]) -> _Row:
    found, verdict = failing_call(row), CALM
    figure = ERRORS if row.stored.get("failures") is None or not found.errno else FAILURES
    if row.key in unusual:
        verdict = facts.verdict(figure, row.key)
    grave = found.meaning.errno_class is ErrnoClass.GRAVE
    least = LEAST_GRAVE if grave else LEAST
    again = _lasts(facts, figure, row.key, 2, least)
    lasts = again and (grave or _lasts(facts, figure, row.key, _LASTING, least))
    return _Row(row, str(row["syscall"]), found, figure, verdict, again, lasts)


def _failing_one(facts: Facts, one: _Row) -> _Suspect | None:
    call, found, odd = one.call, one.found, one.verdict.since is not None
    bad = badness(one.row, unusual=odd)
    suspect = suspicion(call, found) if one.again else 0
    if not (bad or suspect) or _told_elsewhere(facts, one):
        return None
    if bad is Badness.ALARM and not (odd or one.lasts):
        bad = Badness.NOTICE
    callers = _callers(facts, call) if found.errno else ()
    harmed = [
        c
        for c in callers
        if badness_of_process(call, c.errno, c.failures, c.calls, lasting=one.lasts)
    ]
    if harmed:
        bad = Badness.ALARM
    elif callers:
        suspect = 0  # they are known, and nobody is harmed
    rank = float(bad is Badness.ALARM), float(suspect), float(one.again), found.rate
    if not bad or (found.errno is None and one.row["top_errno"] not in LOOKED_FOR):
        return _Suspect(call, rank, None)
    return _Suspect(call, rank, _failing_claim(facts, one, bad, harmed or callers))


def _told_elsewhere(facts: Facts, one: _Row) -> bool:
    """Return whether it is no matter of calls: tried by whom asks what the kernel allows, as we do.

    Or connects, of which their own hook tells who makes them, and where to.
    """
    if one.call in MONITORING:
        return one.found.meaning.errno_class is not ErrnoClass.GRAVE
    by_peers = one.call == "connect" and one.found.errno in PEERS
    return by_peers and one.verdict.since is None and bool(facts.of("tcp-connect"))


def _lasts(facts: Facts, figure: Figure, key: Hashable, ticks: int, least: float) -> bool:
    """Return whether it has failed so often in each of the last ticks."""
    values = facts.series(figure, key, ticks)
    return len(values) == ticks and all(v is not None and v >= least for v in values)


def _failing_claim(facts: Facts, one: _Row, bad: Badness, callers: Sequence[_Caller]) -> Claim:
    row, call, found, figure, verdict = one[:5]
    errno = found.errno or str(row["top_errno"])
    meaning = found.meaning if found.errno else errno_meaning(call, errno)
    now = found.rate if found.errno else row.rate("errors")
    first = [c for c in callers if c.failures][:_NAMED]
    share, of = _share_of(row, found, call, first)
    grave = bad is Badness.ALARM and not (call == "connect" and errno in PEERS)
    return Claim(
        id=f"{HOOK}/{call}/{errno}",
        severity=Gravity.ALARM if grave else Gravity.NOTICE,
        what=f"{call} fails with {errno}",
        now=now,
        unit=Unit.COUNT,
        share=share,
        of=of,
        usual=_usual(facts, figure, row.key, verdict),
        since=verdict.since if verdict.usual is not None else None,
        struck=sum([c.failures for c in first]) or now,
        who=tuple([c.who(c.failures) for c in first]),
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
    row: SnapshotRow, found: FailingCall, call: str, callers: Sequence[_Caller]
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
    row: SnapshotRow, found: FailingCall, meaning: ErrnoMeaning, callers: Sequence[_Caller]
) -> Iterator[Evidence]:
    yield Evidence(HOOK, meaning.sentence.removesuffix("."), None)
    if found.errno:
        share = units.percent(100 * found.by_errno)
        yield Evidence(HOOK, f"{share} of all {row['syscall']} calls on this host", found.by_errno)
    for caller in callers[1:]:
        yield Evidence(BY, f"{caller.name} {units.count(caller.failures)}/s")


def _next(meaning: ErrnoMeaning, callers: Sequence[_Caller]) -> Iterator[str]:
    pid = next((c.pid for c in callers if c.pid is not None), None)
    if meaning.next and "ADDRESS" not in meaning.next:
        yield meaning.next if pid is None else meaning.next.replace("PID", str(pid))
    if pid is not None:
        yield f"strace -f -Z -p {pid}"


def _callers(facts: Facts, call: str) -> list[_Caller]:
    """Return the processes that make the call: those with most failures first, then calls."""
    snapshot = facts.snapshots.get(HookId(BY, call))
    if snapshot is None:
        return []
    rows = SomeRows.of(snapshot.rows, _LEXICON)
    failures = "failures" if "failures" in snapshot.hook.places.names else "errors"
    first = rows.first(2 * _NAMED, rows.rates(failures), rows.rates("calls"))
    return [_caller(row, failures) for row in first]


def _caller(row: SnapshotRow, failures: str) -> _Caller:
    rate = row.rates.get(failures)
    failed = row.rate("errors") if rate is None else rate
    errno = row.stored.get("errno")
    pid = row["pid"]
    return _Caller(
        str(row["comm"]), pid if isinstance(pid, int) and pid else None, row.rate("calls"), failed,
        str(errno) if errno is not None else None, row.number("mean_ns"),
    )  # fmt: skip


def _usual(facts: Facts, figure: Figure, key: Hashable, verdict: Verdict) -> float | None:
    return verdict.usual if verdict.since is not None else facts.usual(figure, key)


# -- calls that stall ------------------------------------------------------------------------------


def _stalling(facts: Facts) -> Iterator[_Suspect]:
    unusual = near(facts, SLOW)
    for row in facts.rows(HOOK):
        call = str(row["syscall"])
        if call in WAITING or not (call in SYNCING or row.key in unusual):
            continue
        verdict = facts.verdict(SLOW, row.key) if row.key in unusual else CALM
        if (one := _stalling_one(facts, row, call, verdict)) is not None:
            yield one


def _stalling_one(facts: Facts, row: SnapshotRow, call: str, verdict: Verdict) -> _Suspect | None:
    made, odd = row.rate("calls"), verdict.since is not None
    bad = slowness(call, made, row.number("mean_ns"), row.number("p99_ns"), unusual=odd)
    callers = nlargest(_NAMED, _callers(facts, call), key=lambda c: c.calls * c.mean)
    weighed = [(slowness(call, c.calls, c.mean, c.mean, unusual=False), c) for c in callers]
    late = [c for how, c in weighed if how]
    bad = max([bad, *[how for how, _ in weighed]])
    if not bad:
        return None
    claim = _stalling_claim(facts, row, call, bad, verdict, late or callers)
    return _Suspect(call, (float(bad is Badness.ALARM), 1.0, 1.0, made), claim)


def _stalling_claim(
    facts: Facts,
    row: SnapshotRow,
    call: str,
    bad: Badness,
    verdict: Verdict,
    callers: Sequence[_Caller],
) -> Claim:
    mean, p99, made = row.number("mean_ns"), row.number("p99_ns"), row.rate("calls")
    return Claim(
        id=f"{HOOK}/{call}/slow",
        severity=Gravity.ALARM if bad is Badness.ALARM else Gravity.NOTICE,
        what=f"{call} is slow",
        now=p99,
        unit=Unit.NS,
        usual=_usual(facts, SLOW, row.key, verdict),
        since=verdict.since if verdict.usual is not None else None,
        struck=made,
        who=tuple([c.who(c.calls) for c in callers[:_NAMED] if c.calls]),
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


def _wants(facts: Facts) -> HookId | None:
    """Return the hook that tells which processes make the call that is most worth knowing of."""
    return calls(facts).wanted


DETECTOR = Detector(
    "calls", (HOOK,), lambda facts: calls(facts).claims, (ERRORS, FAILURES, SLOW), _wants
)
