"""Processes that crash again and again, and programs that cannot be started.

Told by two hooks that are attached after all others: of starts once some fail.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from probes import units
from probes.analysis.anomaly import Threshold
from probes.analysis.by_row import SumBy
from probes.analysis.cases.attempts import LATELY, Attempts
from probes.analysis.cases.claim import Claim, ClaimedRow, Evidence, Gravity, Who
from probes.analysis.cases.detector import MOST, Detector
from probes.analysis.cases.drop_causes import RULE_DEPTH
from probes.analysis.facts import Facts
from probes.analysis.history import Figure
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import np
from probes.model import HookId, State, Value
from probes.units import Unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENDS, STARTS, CALLS = "exits", "execs", "syscalls"
LEAST, SHARE, RATE = 3.0, 0.5, 0.3
"""Of the last seconds: how many that fail alike are a loop; the share of all, and how many a
second, that harm somebody."""
CRASHES = frozenset({"SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE", "SIGSYS", "SIGTRAP"})
"""Signals that a process causes itself."""
_KILLED = "SIGKILL"
NOT_STARTED = frozenset({"status 126", "status 127"})
"""How a shell's child ends whose program could not be started."""
_EXECS = frozenset({"execve", "execveat"})
_LOOKED_AT, _NAME = 256, 15
"""Rows that are looked at, of each; characters of a name that the kernel keeps."""
_NEXT = {"ENOENT": "ls -l {file}", "EACCES": "namei -l {file}", "ENOEXEC": "file {file}"}

_THRESHOLD = Threshold(RATE)
ENDING = Figure(
    "ends-alike", "ends/s", Unit.COUNT, ENDS, SumBy(("comm", "end"), "ends"), rule=_THRESHOLD
)
FAILING = Figure(
    "starts-failing", "failed/s", Unit.COUNT, STARTS, SumBy(("comm", "file"), "failed"),
    wrong=True, rule=_THRESHOLD,
)  # fmt: skip


def _claims(facts: Facts) -> Sequence[Claim]:
    return facts.once_read(_claimed, ENDS, STARTS)


def _claimed(facts: Facts) -> Sequence[Claim]:
    claims = [*_crashes(facts), *_not_started(facts)]
    claims.sort(key=lambda claim: (claim.severity, claim.struck), reverse=True)
    return claims[:MOST]


def _read(facts: Facts, hook: str, bad: Callable[[SnapshotRow], bool]) -> Attempts | None:
    """Return the rows of a hook that has been read twice, if any of them may be bad."""
    snapshots = facts.of(hook)
    if len(snapshots) != 1 or not snapshots[0].rows or snapshots[0].interval is None:
        return None
    rows = snapshots[0].rows
    worth = isinstance(rows, ManyRows) or any(map(bad, rows))  # few calm ones need no arrays
    return Attempts(facts, snapshots[0]) if worth else None


# -- that crash --------------------------------------------------------------------------------


def _crashes(facts: Facts) -> Iterator[Claim]:
    if (ends := _read(facts, ENDS, _crashed)) is None:
        return
    recent = ends.recent("ends")
    first = np.argsort(-recent, kind="stable")[:_LOOKED_AT]
    rows = first[recent[first] >= LEAST].tolist()
    how = ends.values("end", rows)
    bad = [n for n, end in zip(rows, how, strict=True) if _is_crash(str(end))]
    if not bad:
        return
    of = ends.groups("comm")
    every = np.bincount(of, recent)
    for n in bad:
        if (claim := _crash(facts, ends, n, float(every[of[n]]))) is not None:
            yield claim


def _crashed(row: SnapshotRow) -> bool:
    return _is_crash(str(row.stored["end"]))


def _failed(row: SnapshotRow) -> bool:
    return bool(row.stored["failed"])


def _is_crash(end: str) -> bool:
    return end in CRASHES or end in NOT_STARTED or end == _KILLED


def _crash(facts: Facts, ends: Attempts, n: int, every: float) -> Claim | None:
    """Return the claim of a row. every: ends of processes of that name, in as many seconds."""
    row = ends.row(n)
    comm, parent, end = (str(row.stored[name]) for name in ("comm", "parent", "end"))
    number = float(ends.recent("ends")[n])
    rate, share = number / ends.seconds, min(number / every, 1.0)
    if not _goes_on(facts, ENDING, (comm, end), float(ends.per_s("ends")[n])):
        return None
    alarm = end != _KILLED and share >= SHARE and rate >= RATE
    lived = row["lifetime_ns"]
    after = f", after {units.duration(lived)} each" if isinstance(lived, int | float) else ""
    text = f"{number:.0f} ended like this in {ends.seconds:.0f} s{after}; started by {parent}"
    verdict = facts.verdict(ENDING, (comm, end))
    return Claim(
        id=f"{ENDS}/{comm}/{end}",
        severity=Gravity.ALARM if alarm else Gravity.NOTICE,
        what=_ended(comm, end),
        now=rate,
        unit=Unit.COUNT,
        pane="hooks",
        share=share,
        of=f"the ends of {comm}",
        usual=verdict.usual,
        since=verdict.since if verdict.usual is not None else None,
        struck=rate,
        who=(Who(comm, rate=rate), Who(parent)),
        evidence=(Evidence(ENDS, text, number),),
        next=_after_crash(comm, end),
        rows=(ClaimedRow(ENDS, row.key),),
        figure=ENDING,
        key=(comm, end),
        ties=frozenset({("not started", parent)}) if end in NOT_STARTED else frozenset(),
        depth=RULE_DEPTH - 1 if end in NOT_STARTED else RULE_DEPTH,
    )


def _ended(comm: str, end: str) -> str:
    if end in NOT_STARTED:
        return f"children of {comm} end with {end}: their program cannot be started"
    if end == _KILLED:
        return f"{comm} is killed again and again ({end})"
    return f"{comm} crashes again and again: {end}"


def _after_crash(comm: str, end: str) -> tuple[str, ...]:
    if end in NOT_STARTED:
        return ("ebpftop once --hook execs",)
    if end == _KILLED:
        return ("journalctl -k -g 'Killed process'",)
    return (f"coredumpctl info {comm}", "journalctl -k -n 20")


# -- that cannot be started --------------------------------------------------------------------


class _WantedProgram(NamedTuple):
    """A program that somebody tries to start: their name, and the program's without its folder."""

    comm: str
    name: str


def _not_started(facts: Facts) -> Iterator[Claim]:
    if (starts := _read(facts, STARTS, _failed)) is None:
        return
    failed = starts.recent("failed")
    if not failed.any():
        return
    started = starts.recent("calls") - failed
    good = set(_programs(starts, np.argsort(-started, kind="stable")[:_LOOKED_AT], started))
    bad: dict[_WantedProgram, list[int]] = {}
    rows = np.argsort(-failed, kind="stable")[:_LOOKED_AT]
    for program, n in _programs(starts, rows, failed).items():
        bad.setdefault(program, []).extend(n)
    of = starts.groups("comm")
    every = np.bincount(of, starts.recent("calls"))
    for program, some in bad.items():
        if program in good or failed[some].sum() < LEAST:
            continue  # it is looked for in several places, and found
        if (claim := _unstarted(facts, starts, some, float(every[of[some[0]]]))) is not None:
            yield claim


def _programs(
    starts: Attempts, places: Iterable[int], number: NDArray[np.float64]
) -> dict[_WantedProgram, list[int]]:
    """Return the programs of those of these rows that have any, with their rows."""
    rows = [int(n) for n in places if number[n] > 0]
    found: dict[_WantedProgram, list[int]] = {}
    named = zip(starts.values("comm", rows), starts.values("file", rows), rows, strict=True)
    for comm, file, n in named:
        name = str(file).rpartition("/")[2][:_NAME]
        found.setdefault(_WantedProgram(str(comm), name), []).append(n)
    return found


def _unstarted(facts: Facts, starts: Attempts, rows: list[int], every: float) -> Claim | None:
    """Return the claim of a program's rows. every: what its caller tried to start."""
    number = float(starts.recent("failed")[rows].sum())
    rate, share = number / starts.seconds, min(number / every, 1.0) if every else 1.0
    row = starts.row(rows[0])
    comm, file, error = (str(row.stored[name]) for name in ("comm", "file", "error"))
    now = float(starts.per_s("failed")[rows].sum())
    if not _goes_on(facts, FAILING, (row.stored["comm"], row.stored["file"]), now):
        return None
    alarm = share >= SHARE and rate >= RATE
    places = f", in {len(rows)} places" if len(rows) > 1 else ""
    text = f"{number:.0f} times in {starts.seconds:.0f} s{places}"
    verdict = facts.verdict(FAILING, (comm, file))
    return Claim(
        id=f"{STARTS}/{comm}/{file}",
        severity=Gravity.ALARM if alarm else Gravity.NOTICE,
        what=f"{comm} cannot start {file}: {error}",
        now=rate,
        unit=Unit.COUNT,
        pane="hooks",
        share=share,
        of=f"the programs that {comm} starts",
        usual=verdict.usual,
        since=verdict.since if verdict.usual is not None else None,
        struck=rate,
        who=(Who(comm, rate=rate),),
        evidence=(Evidence(STARTS, text, number),),
        next=(_NEXT.get(error, "namei -l {file}").format(file=file),),
        rows=tuple([ClaimedRow(STARTS, starts.key(n)) for n in rows[:MOST]]),
        figure=FAILING,
        key=(comm, file),
        ties=_ties(comm, error),
        depth=RULE_DEPTH,
    )


def _ties(comm: str, error: str) -> frozenset[Hashable]:
    return frozenset({("not started", comm), ("errno", "execve", error)})


def _goes_on(facts: Facts, figure: Figure, key: tuple[Value, ...], now: float) -> bool:
    return now > 0 or any(facts.series(figure, key, LATELY))


# -- what tells it -----------------------------------------------------------------------------


def _looks(facts: Facts) -> Sequence[HookId]:
    return facts.once_read(_wanted, CALLS, ENDS, STARTS)


def _wanted(facts: Facts) -> Sequence[HookId]:
    """Return the hook of ends, where programs may be attached, and that of starts that fail."""
    if not any(snapshot.status.state is State.ATTACHED for snapshot in facts.of(CALLS)):
        return ()
    execs = (row for row in facts.rows(CALLS) if row.stored["syscall"] in _EXECS)
    failing = sum([row.rate("errors") for row in execs]) >= RATE
    wanted = [HookId(STARTS)] * failing + [HookId(ENDS)]
    return tuple([id for id in wanted if id.hook in facts.catalogue])


DETECTOR = Detector("processes", (), _claims, (ENDING, FAILING), looks=_looks)
"""Who crashes again and again, and what cannot be started."""
