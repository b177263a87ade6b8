"""What is unusual: numbers in, a verdict out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from probes.analysis.anomaly import HOLD, LEARN, LENGTH, WINDOW, Threshold, Verdict, unusual, usual
from probes.analysis.judge import ANY, Judge
from probes.analysis.known_rows import KnownRows
from probes.analysis.series import Series
from probes.analysis.value_layout import ValueLayout

RULE = Threshold(least=5, times=3, alarm=100)
LEVEL = Threshold(least=20, times=3, absent=None)


class _Row:
    """A row whose first value came at a tick; the wall clock shows ticks."""

    def __init__(self, first: int, rule: Threshold | None = RULE, begun: int = 1) -> None:
        self._rows, self._begun = KnownRows(LENGTH), begun
        self._layout = ValueLayout(self._rows)
        self._series = Series(self._layout)
        self._judge = Judge(self._rows, self._series, rule or ANY)
        for tick in range(1, first):
            self.take(tick, ())

    def take(self, tick: int, values: Sequence[float | None]) -> None:
        known = [math.nan if value is None else value for value in values]
        self._layout.take(tick, ["a"] * len(known))
        self._series.add(known)
        self._judge.take(known, float(tick), self._begun)

    def verdict(self, until: int) -> Verdict:
        return self._judge.verdict(self._rows.find("a"), until)

    def usual(self, until: int) -> float | None:
        return self._judge.usual(self._rows.find("a"), until, self._begun)

    def values(self, until: int) -> list[float | None]:
        return self._series.listed(self._rows.find("a"), until, 2 * WINDOW)


def _series(
    values: Sequence[float | None], rule: Threshold = RULE, begun: int = 1, first: int = 1
) -> _Row:
    row = _Row(first, rule, begun)
    for tick, value in enumerate(values, first):
        row.take(tick, (value,))
    return row


def test_usual_is_the_middle_and_needs_enough() -> None:
    """One wild value does not move it; too few values say nothing."""
    assert usual([2.0] * (LEARN - 1)) is None
    assert usual([2.0] * LEARN + [1000.0]) == 2
    assert abs((usual([float(n) for n in range(901)]) or 0) - 450) <= 3


def test_unusual_is_far_above_the_usual_and_not_small() -> None:
    """Three times nothing is still nothing; where nothing is known only the alarm counts."""
    assert unusual(6, 2, RULE)
    assert not unusual(5.9, 2, RULE)
    assert not unusual(4, 0, RULE)
    assert unusual(5, 0, RULE)
    assert not unusual(99, None, RULE)
    assert unusual(100, None, RULE)
    assert not unusual(1e9, None, LEVEL)


def test_an_incident_has_a_beginning_a_size_and_what_was_usual() -> None:
    """As the words need them."""
    verdict = _series([2.0] * 30 + [40.0, 60.0]).verdict(32)
    assert (verdict.since, verdict.usual, verdict.now, verdict.new) == (31, 2, 60, False)
    assert verdict.times == 30


def test_a_long_incident_does_not_become_normal() -> None:
    """Far longer than the history that is kept: it is still judged by what was before."""
    series = _series([2.0] * 60 + [50.0] * (4 * WINDOW))
    verdict = series.verdict(60 + 4 * WINDOW)
    assert (verdict.since, verdict.usual, verdict.now) == (61, 2, 50)


def test_the_next_incident_is_not_judged_by_the_one_before() -> None:
    """What was unusual is no part of the usual."""
    series = _series([2.0] * 20 + [50.0] * 200 + [2.0] * 20 + [50.0])
    assert series.verdict(230).since is None
    assert series.verdict(241).since == 241
    assert series.verdict(241).usual == 2


def test_an_incident_that_was_there_before_us_is_said_to_be_since_start() -> None:
    """Nothing is known of before: it stays marked, and its values are never the usual ones."""
    series = _series([500.0] * 400 + [0.0] * 60 + [500.0])
    assert series.verdict(400) == (1, 500, None, False)
    assert series.verdict(430).since is None
    assert series.verdict(461).usual == 0


def test_what_is_not_alarming_by_itself_is_learned() -> None:
    """A steady number from the start on is what is usual here."""
    assert _series([50.0] * 400).verdict(400).since is None
    assert _series([50.0] * 400).usual(400) == 50


def test_a_pause_does_not_end_it_and_quiet_does() -> None:
    """Failures that come one in a few seconds do not blink."""
    series = _series([0.0] * 30 + [9.0, 0.0, 0.0, 0.0, 9.0] + [0.0] * HOLD)
    assert {series.verdict(t).since for t in range(31, 35 + HOLD)} == {31}
    assert series.verdict(34).now == 9
    assert series.verdict(35 + HOLD).since is None


def test_a_row_that_comes_later_was_nothing_before() -> None:
    """Where a row that is not there counts as 0; where it does not, nothing is said."""
    late = _series([50.0], first=40)
    assert late.verdict(40) == (40, 50, 0, True)
    assert _series([50.0], LEVEL, first=40).verdict(40).since is None
    assert _series([50.0], first=5).verdict(5).since is None, "we had only just begun to look"
    assert math.isinf(late.verdict(40).times)


def test_any_moment_has_the_verdict_it_had() -> None:
    """Looking back says what was said then, also of what came and went."""
    values: list[float | None] = [2.0] * 30 + [50.0] * 10 + [2.0] * 30
    at_once = _series(values)
    for tick in range(1, 71):
        assert at_once.verdict(tick) == _series(values[:tick]).verdict(tick), tick
        assert at_once.values(tick) == _series(values[:tick]).values(tick)


def test_unknown_values_are_gaps() -> None:
    """They neither count nor shift the others."""
    row = _Row(1, None)
    for tick, values in enumerate(((1.0,), (None,), (), (), (4.0,), ()), 1):
        row.take(tick, values)
    assert row.values(6) == [1, None, None, None, 4, None]
    assert row.values(2) == [1, None]
    assert row.values(0) == []
