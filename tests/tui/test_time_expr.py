"""Which moment is meant: also where an hour comes twice, or not at all, and clocks were set."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.support import clocks
from tui.time_expr import ParsedTime, TimeError, parse_time

AUTUMN = datetime(2025, 10, 26, tzinfo=UTC).timestamp()  # 02:00 CEST; an hour later 02:00 CET
SPRING = datetime(2026, 3, 29, 0, 30, tzinfo=UTC).timestamp()  # 01:30 CET; 02:00 is 03:00 CEST
MINUTE, HOUR = 60, 3600


@pytest.fixture(autouse=True)
def _in_germany(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def _night(begin: float) -> list[float]:
    return [begin + MINUTE * n for n in range(180)]


def test_of_an_hour_that_comes_twice_it_is_the_first_and_said_so() -> None:
    timeline = clocks.tape(_night(AUTUMN))
    first = ParsedTime(
        30, "02:30 occurs twice: this is the first, in CEST; the other is '02:30 CET'"
    )
    assert parse_time("02:30", timeline, now=100) == first
    assert parse_time("02:30 CEST", timeline, now=0) == ParsedTime(30)
    assert parse_time(" 02:30:00 cet ", timeline, now=0) == ParsedTime(90)
    assert parse_time("03:10", timeline, now=0) == ParsedTime(130)
    with pytest.raises(TimeError, match="03:10 is of CET there"):
        parse_time("03:10 CEST", timeline, now=0)


def test_a_minute_too_early_is_the_first_moment_and_too_late_the_last() -> None:
    timeline = clocks.tape([AUTUMN + 10 * HOUR + 30 + n for n in range(60)])
    assert parse_time("11:00", timeline, now=0) == ParsedTime(0)
    assert parse_time("11:02", timeline, now=0) == ParsedTime(59)
    with pytest.raises(TimeError, match="the range is 11:00:30 to 11:01:29"):
        parse_time("11:03", timeline, now=0)


def test_of_the_hour_that_comes_twice_the_second_where_the_first_was_before() -> None:
    timeline = clocks.tape(_night(AUTUMN + 50 * MINUTE))
    assert parse_time("02:30", timeline, now=0) == ParsedTime(40)
    assert parse_time("02:55", timeline, now=0).number == 5


def test_a_time_that_was_left_out_gets_a_sentence() -> None:
    timeline = clocks.tape(_night(SPRING))
    with pytest.raises(TimeError, match="there was no 02:30 that day: the clock skipped it"):
        parse_time("02:30", timeline, now=0)
    assert parse_time("03:00", timeline, now=0) == ParsedTime(30)


def test_a_time_that_several_days_have_is_the_first_and_said_so() -> None:
    timeline = clocks.tape([AUTUMN + 10 * HOUR + HOUR * n for n in range(60)])
    several = "12:00 occurs on several days: this is the first; +SECONDS goes to later ones"
    assert parse_time("12:00", timeline, now=0) == ParsedTime(1, several)
    assert parse_time("09:00", timeline, now=0).number == 22
    assert "several days" in parse_time("09:00", timeline, now=0).note
    with pytest.raises(TimeError, match="2025-10-26 11:00:00 to 2025-10-28 22:00:00"):
        parse_time("+999999", timeline, now=0)


def test_after_midnight_is_the_next_day_also_where_clocks_change() -> None:
    timeline = clocks.tape([AUTUMN - 3 * HOUR + MINUTE * n for n in range(360)])
    assert parse_time("23:30", timeline, now=0) == ParsedTime(30)
    assert parse_time("03:30", timeline, now=0) == ParsedTime(330)
    assert parse_time("02:30", timeline, now=0).number == 210


def test_a_time_that_the_clock_was_put_back_to_is_the_first_and_said_so() -> None:
    timeline = clocks.tape([AUTUMN + 10 * HOUR + n - HOUR * (n >= 1800) for n in range(6000)], 9000)
    note = "11:10 occurs twice, as the clock was put back: this is the first"
    assert parse_time("11:10", timeline, now=0) == ParsedTime(600, note)
    assert parse_time("10:45", timeline, now=0) == ParsedTime(2700)
    assert parse_time("11:29:59", timeline, now=0).number == 1799


@pytest.mark.parametrize("step", [-HOUR, HOUR, -86400 * 365])
def test_seconds_are_counted_by_what_was_recorded(step: int) -> None:
    timeline = clocks.tape([AUTUMN + n + step * (n >= 3) for n in range(300)])
    assert [parse_time(text, timeline, now=0).number for text in ("+5", "+2", "+90.5")] == [
        5,
        2,
        90,
    ]
    assert parse_time("-30", timeline, now=100) == ParsedTime(70)
    with pytest.raises(TimeError, match="there is nothing at"):
        parse_time("+400", timeline, now=0)


@pytest.mark.parametrize("text", ["", "25:00", "12", "soon", "+", "+soon", "02:30:61", "+nan"])
def test_what_is_no_time_is_a_sentence(text: str) -> None:
    with pytest.raises(TimeError):
        parse_time(text, clocks.tape(_night(AUTUMN)), now=0)
