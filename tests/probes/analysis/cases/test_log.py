"""Three states: now, easing, over; and what was said then of an earlier moment."""

from __future__ import annotations

from dataclasses import replace

from probes.analysis.cases.claim import Claim, ClaimedRow, Evidence, Gravity
from probes.analysis.cases.finding import Finding, Progress
from probes.analysis.cases.joined import Case
from probes.analysis.cases.log import HOLD, KEPT, MOST_KEPT, CaseLog
from probes.analysis.facts import Facts
from probes.analysis.history import History
from probes.units import Unit
from tests.support.watched_host import WatchedHost

CLAIM = Claim("a/b", Gravity.ALARM, "b fails", 10.0, Unit.COUNT, "calls")
BEGIN = 100.0
WALL = 1e9


def _case(of: Claim | Case) -> Case:
    return of if isinstance(of, Case) else Case(of)


class _Told:
    """A log that is told at each second what is wrong."""

    def __init__(self) -> None:
        self.wrong: list[Claim] = []
        self.log = CaseLog(lambda facts: self.by_time.get(facts.time, []))
        self.by_time: dict[float, list[Case]] = {}
        self.facts = Facts({}, History(()), time=BEGIN, wall=WALL + BEGIN)

    def run(self, seconds: int, *claims: Claim | Case) -> None:
        for _ in range(seconds):
            self.facts.time += 1
            self.facts.wall += 1
            self.by_time[self.facts.time] = [_case(claim) for claim in claims]
            self.log.take(self.facts)

    def at(self, time: float | None = None) -> list[Finding]:
        facts = self.facts
        if time is not None:
            facts = replace(facts, time=time, wall=WALL + time, ticks={})
        return self.log.at(facts)


def test_what_begins_while_it_is_watched_has_a_beginning() -> None:
    told = _Told()
    told.run(20)
    told.run(3, CLAIM)
    (found,) = told.at()
    assert (found.state, found.since, found.until) == (Progress.NOW, WALL + BEGIN + 21, None)


def test_what_was_there_from_the_first_reading_is_older_than_the_watch() -> None:
    told = _Told()
    told.run(30, CLAIM)
    (found,) = told.at()
    assert (found.state, found.since, found.watched) == (Progress.NOW, None, WALL + BEGIN + 1)


def test_what_its_hook_tells_from_its_first_readings_is_as_old_as_that_or_older() -> None:
    """What another claim knows of it began no sooner than somebody looked."""
    told, host = _Told(), WatchedHost("drops")
    told.run(20)
    first = next(iter(host.facts.since.values()))
    told.facts.since[first.status.id] = replace(first, time=BEGIN + 20, wall=WALL + BEGIN + 20)
    head = replace(CLAIM, rows=(ClaimedRow("drops", "row"),))
    told.run(3, Case(head, (replace(PART, since=WALL + BEGIN + 21),)))
    (found,) = told.at()
    assert (found.since, found.watched) == (None, WALL + BEGIN + 20)
    told.run(5, Case(head), Case(replace(head, id="later")))
    assert told.at()[1].since == WALL + BEGIN + 24


def test_it_goes_on_while_its_hook_has_no_rates_yet() -> None:
    """A better rung has been reached: nothing is known of this moment."""
    told, claim = _Told(), replace(CLAIM, evidence=(Evidence("drops", "10/s"),))
    told.run(3, claim)
    host = WatchedHost("drops")
    told.facts.snapshots = {s.id: s for s in host.facts.of("drops")}
    told.run(1)
    (found,) = told.at()
    assert (found.state, found.now) == (Progress.NOW, 10.0)
    host.tick(drops=[])
    told.facts.version += 1
    told.facts.snapshots = {s.id: s for s in host.facts.of("drops")}
    told.run(1)
    assert [one.state for one in told.at()] == [Progress.EASING]


def test_it_eases_is_over_and_is_forgotten() -> None:
    told = _Told()
    told.run(20)
    told.run(5, CLAIM, replace(CLAIM, id="other"))
    told.run(1, replace(CLAIM, now=99.0))
    told.run(3)
    first, second = told.at()
    assert first.state is second.state is Progress.EASING
    assert first.wrong
    assert not first.alarming
    assert {first.peak, second.peak} == {99.0, 10.0}
    told.run(int(HOLD))
    first, second = told.at()
    assert first.state is second.state is Progress.OVER
    assert not first.wrong
    by_id = {one.id: one for one in (first, second)}
    assert by_id["a/b"].until == WALL + BEGIN + 26
    told.run(int(KEPT) + 20)
    assert told.at() == []


def test_what_eases_keeps_its_place_for_a_moment() -> None:
    told = _Told()
    notice = replace(CLAIM, id="notice", severity=Gravity.NOTICE)
    told.run(20)
    told.run(5, CLAIM, notice)
    told.run(2, notice)
    assert [(f.id, f.state) for f in told.at()] == [
        ("a/b", Progress.EASING),
        ("notice", Progress.NOW),
    ]
    told.run(2, notice)
    assert [f.id for f in told.at()] == ["notice", "a/b"]


def test_what_comes_again_soon_goes_on() -> None:
    told = _Told()
    told.run(20)
    told.run(3, CLAIM)
    told.run(5)
    told.run(2, CLAIM)
    (found,) = told.at()
    assert (found.state, found.since) == (Progress.NOW, WALL + BEGIN + 21)


def test_the_past_says_what_was_said_then() -> None:
    """It does not know of what came later."""
    told = _Told()
    told.run(20)
    told.run(5, CLAIM)
    told.run(40)
    told.run(5, CLAIM)
    assert told.at(BEGIN + 15) == []
    (then,) = told.at(BEGIN + 23)
    assert (then.state, then.since) == (Progress.NOW, WALL + BEGIN + 21)
    (eased,) = told.at(BEGIN + 30)
    assert eased.state is Progress.EASING
    (over,) = told.at(BEGIN + 50)
    assert (over.state, over.until) == (Progress.OVER, WALL + BEGIN + 25)
    (again,) = told.at()
    assert (again.state, again.since) == (Progress.NOW, WALL + BEGIN + 66)


def test_what_is_earlier_than_the_latest_moment_is_not_taken() -> None:
    """A recording that was gone back in is read anew; until then it says what it knows."""
    told = _Told()
    told.run(20)
    told.run(5, CLAIM)
    told.facts.time -= 10
    told.log.take(told.facts)
    told.facts.time += 10
    (found,) = told.at()
    assert (found.state, found.since) == (Progress.NOW, WALL + BEGIN + 21)


def test_it_says_what_began_eased_and_was_over() -> None:
    """At the time of it; what goes on has only begun."""
    told = _Told()
    told.run(20)
    told.run(5, CLAIM)
    assert [t.state for t in told.log.turns(told.facts)] == [Progress.NOW]
    told.run(2)
    eased, begun = told.log.turns(told.facts)
    assert (eased.state, eased.wall) == (Progress.EASING, WALL + BEGIN + 25)
    assert (begun.state, begun.wall) == (Progress.NOW, WALL + BEGIN + 21)
    told.run(int(HOLD))
    assert [(t.state, t.seconds) for t in told.log.turns(told.facts)] == [
        (Progress.OVER, 4),
        (Progress.NOW, 0),
    ]


def test_as_much_is_kept_of_cases_that_come_and_go_as_of_many() -> None:
    """Memory has a bound: the latest are kept."""
    told = _Told()
    for second in range(MOST_KEPT // 10):
        told.run(1, *(replace(CLAIM, id=f"{second}/{n}") for n in range(20)))
    kept = {one.id for one in told.at()}
    assert len(kept) <= MOST_KEPT
    assert f"{MOST_KEPT // 10 - 1}/0" in kept
    assert "0/0" not in kept


def test_a_notice_of_a_moment_is_no_news_once_it_is_over() -> None:
    told = _Told()
    told.run(20)
    told.run(2, replace(CLAIM, severity=Gravity.NOTICE), replace(CLAIM, id="alarm"))
    told.run(5)
    assert {one.id for one in told.at()} == {"a/b", "alarm"}
    told.run(int(HOLD))
    assert [one.id for one in told.at()] == ["alarm"]
    assert {turn.case.head.id for turn in told.log.turns(told.facts)} == {"alarm"}


# -- a case that becomes a part of another ----------------------------------------------------

PART = replace(CLAIM, id="tcp-connect/b", now=3.0)


def test_a_case_whose_cause_is_found_is_told_by_that_alone_and_keeps_its_age() -> None:
    told = _Told()
    told.run(20)
    told.run(5, PART)
    told.run(2, Case(CLAIM, (PART,)))
    (found,) = told.at()
    assert (found.id, found.state, found.since) == (CLAIM.id, Progress.NOW, WALL + BEGIN + 21)
    told.run(3)
    (found,) = told.at()
    assert (found.id, found.state) == (CLAIM.id, Progress.EASING)
    told.run(int(HOLD))
    (found,) = told.at()
    assert (found.id, found.state) == (CLAIM.id, Progress.OVER)


def test_a_part_that_is_a_case_of_its_own_again_is_told() -> None:
    """Its cause is over, and it goes on."""
    told = _Told()
    told.run(20)
    told.run(5, Case(CLAIM, (PART,)))
    told.run(2, PART)
    part, whole = told.at()
    assert (part.id, part.state) == (PART.id, Progress.NOW)
    assert (whole.id, whole.state) == (CLAIM.id, Progress.EASING)
    told.run(1)
    assert [f.id for f in told.at()] == [PART.id, CLAIM.id]


def test_what_was_so_at_the_first_reading_stays_older_than_the_watch() -> None:
    told = _Told()
    told.run(3, PART)
    told.run(20, Case(CLAIM, (PART,)))
    (found,) = told.at()
    assert (found.since, found.watched) == (None, WALL + BEGIN + 1)
