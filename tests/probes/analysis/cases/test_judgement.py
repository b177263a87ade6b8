"""The judgement from reading to reading, and what it could not see."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from probes.analysis.cases import judgement
from probes.analysis.cases.claim import Claim, Gravity, Who
from probes.analysis.cases.detector import Detector
from probes.analysis.cases.finding import Progress
from probes.analysis.cases.judgement import Judgement, blind, passive_only, read_once
from probes.analysis.cases.ordinary import OrdinaryEntry
from probes.analysis.facts import Facts
from probes.analysis.history import Figure
from probes.analysis.snapshot import Snapshot, Trail
from probes.hooks import catalogue
from probes.model import HookId, Row, Sample, State, Status
from probes.units import Unit

CALLS = Figure("calls", "Calls", Unit.COUNT, "syscalls", lambda some: some[0].rates("calls"))
FAILS = Claim("syscalls/x", Gravity.ALARM, "x fails", 9.0, Unit.COUNT, "syscalls", share=0.9,
              who=(Who("checkout", 7),))  # fmt: skip


def _claims(facts: Facts) -> Sequence[Claim]:
    """More than a call a second is wrong."""
    calls = sum(s.rate_of_all("calls") for s in facts.of("syscalls"))
    return (FAILS,) if calls > 1 else ()


@pytest.fixture(autouse=True)
def _one_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = Detector("calls", ("syscalls", "drops"), _claims, (CALLS,))
    monkeypatch.setattr(judgement, "DETECTORS", (detector,))


def _sample(time: float, calls: int) -> Sample:
    stored = catalogue()["syscalls"].stored
    values = {"syscall": "read", "calls": calls, "errors": 0}
    row: Row = tuple([values.get(c.name) for c in stored])
    status = Status(HookId("syscalls"), State.ATTACHED, "x")
    return Sample(status, time, time, rows={("read",): row})


def _readings() -> Callable[[int], Snapshot]:
    """A call of it is a second later, with so many calls more."""
    trail, kept = Trail(catalogue()["syscalls"]), [100.0, 0]

    def read(more: int) -> Snapshot:
        kept[0] += 1
        kept[1] += more
        return trail.snapshot(_sample(kept[0], int(kept[1])))

    return read


def test_findings_come_ease_and_stay_ordinary_where_somebody_said_so() -> None:
    read, judged = _readings(), Judgement(catalogue())
    here = Judgement(catalogue(), [OrdinaryEntry("syscalls/*", ("checkout",), until=103.0)])
    seen = []
    for more in (0, 50, 50, 0):
        snapshots = [read(more)]
        found = judged.take(snapshots), here.take(snapshots)
        seen.append([[(f.state, f.alarming, f.ordinary) for f in some] for some in found])
    assert seen == [
        [[], []],
        [[(Progress.NOW, True, False)], [(Progress.NOW, False, True)]],
        [[(Progress.NOW, True, False)], [(Progress.NOW, True, False)]],  # it has expired
        [[(Progress.EASING, False, False)], [(Progress.EASING, False, False)]],
    ]


def test_a_snapshot_that_was_there_before_is_no_new_reading() -> None:
    """Of a hook that is read more seldom than others, as in a recording."""
    read, judged = _readings(), Judgement(catalogue())
    first = read(0)
    for snapshots in ([first], [first], [first], [read(1)]):
        judged.take(snapshots)
    assert judged.facts.history.ticks == {"syscalls": 2}


def test_nothing_is_known_of_a_hook_that_was_read_once() -> None:
    read, judged = _readings(), Judgement(catalogue())
    judged.take([read(0)])
    assert [s.id.hook for s in read_once(judged.facts)] == ["syscalls"]
    judged.take([read(0)])
    assert read_once(judged.facts) == []


@pytest.mark.parametrize(
    ("state", "note", "seen"),
    [
        (State.ATTACHED, "", True),
        (State.PASSIVE, "half of it is missing", True),
        (State.ATTACHING, "", True),
        (State.FAILED, "", False),
        (State.DETACHED, "", False),
        (State.ATTACHED, "kprobe; not read since 12:03:10", False),
    ],
)
def test_it_is_blind_without_a_hook_that_it_needs(state: State, note: str, seen: bool) -> None:
    facts = Facts(catalogue(), Judgement(catalogue()).facts.history)
    other = Status(HookId("programs"), State.FAILED)
    facts.statuses = (Status(HookId("syscalls"), state, note=note), other)
    assert [s.id.hook for s in blind(facts)] == ([] if seen else ["syscalls"])


def test_one_target_that_is_read_is_enough() -> None:
    facts = Facts(catalogue(), Judgement(catalogue()).facts.history)
    failed = Status(HookId("drops", "a"), State.FAILED)
    read = Status(HookId("drops", "b"), State.PASSIVE)
    facts.statuses = (failed, read)
    assert blind(facts) == []
    facts.statuses = (failed, Status(HookId("drops", "c"), State.FAILED))
    assert len(blind(facts)) == 1


def test_passive_numbers_are_less_than_a_program_would_tell() -> None:
    """Without privilege system calls have no errnos: nothing is known of their failures."""
    facts = Facts(catalogue(), Judgement(catalogue()).facts.history)
    best = catalogue()["syscalls"].ladder[0].name
    for state, rung, less in (
        (State.PASSIVE, "proc", True),
        (State.ATTACHED, "raw", False),
        (State.PASSIVE, best, False),
    ):
        facts.statuses = (Status(HookId("syscalls"), state, rung),)
        assert bool(passive_only(facts)) is less


def _raises(_: Facts) -> Sequence[Claim]:
    raise ValueError("odd")


def test_a_detector_that_raises_says_so_and_takes_no_other_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = Detector("calls", ("syscalls",), _claims)
    broken = Detector("trips", ("tcp-rtt",), _raises, wants=_raises)  # type: ignore[arg-type]
    monkeypatch.setattr(judgement, "DETECTORS", (broken, other))
    read, judged = _readings(), Judgement(catalogue())
    judged.take([read(0)])
    found = judged.take([read(5)])
    assert [one.id for one in found] == ["syscalls/x", "ebpftop/trips"]
    (why,) = found[1].case.evidence
    assert why.text.startswith("judging by trips failed: ")
    assert "odd" in why.text
    assert not judgement.wants(judged.facts)
