"""Times as users write them: of the day, or seconds forward or back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple

from probes.recording.tape import Timeline
from probes.units import printable

_SLACK = 60
"""Seconds that a time may be out of range: 12:03 is accepted if the first moment is of 12:03:10."""

_HALF_A_DAY = 43_200


class TimeError(ValueError):
    """A text that is not a time, or out of range; one sentence."""


class ParsedTime(NamedTuple):
    """A moment's number. note: which of several it is; "": there is no other."""

    number: int
    note: str = ""


def parse_time(text: str, timeline: Timeline, now: int) -> ParsedTime:
    """Return the moment of HH:MM, HH:MM:SS, +SECONDS or -SECONDS; the latter from `now`.

    A time of day is the first such after the beginning; a zone's name after it ("02:30 CET")
    distinguishes the two of an hour that comes twice. Seconds are counted by what was recorded,
    whatever was done to the clock meanwhile. Raises TimeError.
    """
    text = text.strip()
    if text[:1] in ("+", "-"):
        try:
            return ParsedTime(_passed(text, timeline, now))
        except ValueError as wrong:
            if isinstance(wrong, TimeError):
                raise
    return _of_day(text, timeline)


def _passed(text: str, timeline: Timeline, now: int) -> int:
    seconds = float(text)
    begin, end = (
        timeline.clock(n) - timeline.clock(now) for n in (timeline.first, timeline.end - 1)
    )
    if not begin - _SLACK <= seconds <= end + _SLACK:
        raise _outside(text, timeline)
    return timeline.away(now, seconds)


def _of_day(text: str, timeline: Timeline) -> ParsedTime:
    clock, _, zone = text.partition(" ")
    walls = [timeline.wall(n) for n in range(timeline.first, timeline.end)]
    begin, end = min(walls) - _SLACK, max(walls) + _SLACK
    asked = [t for t in _times(clock, min(walls), text) if begin <= t.timestamp() <= end]
    there = [t for t in map(_shown, asked) if t.time() == asked[0].time()]
    if not there and asked:
        raise TimeError(f"there was no {clock} that day: the clock skipped it")
    zones = dict.fromkeys(t.tzname() or "" for t in there)
    if zones and (wanted := zone.strip().casefold()):
        there = [t for t in there if (t.tzname() or "").casefold() == wanted]
        if not there:
            raise TimeError(f"{clock} is of {' and '.join(zones)} there")
    if not there:
        raise _outside(text, timeline)
    wall = there[0].timestamp()
    number, *later = list(islice(timeline.near(wall), 2)) or [timeline.first]
    if len(there) > 1 and there[1].timestamp() - wall < _HALF_A_DAY:
        first, other = there[0].tzname(), there[1].tzname()
        note = (
            f"{clock} occurs twice: this is the first, in {first}; the other is '{clock} {other}'"
        )
        return ParsedTime(number, note)
    if len(there) > 1:
        note = f"{clock} occurs on several days: this is the first; +SECONDS goes to later ones"
        return ParsedTime(number, note)
    if later:
        return ParsedTime(
            number, f"{clock} occurs twice, as the clock was put back: this is the first"
        )
    return ParsedTime(number)


def _times(clock: str, begin: float, text: str) -> Iterator[datetime]:
    """Yield when the clock should show that, on the day of the beginning and the next two.

    Both are yielded for an hour that comes twice. Raises TimeError.
    """
    for form in ("%H:%M:%S", "%H:%M"):
        try:
            time = datetime.strptime(clock, form).time()
        except ValueError:
            continue
        for days in (0, 1, 2):
            day = datetime.fromtimestamp(begin).date() + timedelta(days)
            both = [datetime.combine(day, time.replace(fold=fold)) for fold in (0, 1)]
            yield from {t.timestamp(): t for t in both}.values()
        return
    raise TimeError(
        f"{printable(text)!r} is not a time: write 12:03, 12:03:10, +90 or -30 (seconds)"
    )


def _shown(time: datetime) -> datetime:
    """Return what the clock does show then: another time if that one is skipped."""
    return datetime.fromtimestamp(time.timestamp()).astimezone()


def _outside(text: str, timeline: Timeline) -> TimeError:
    ends = [datetime.fromtimestamp(timeline.wall(n)) for n in (timeline.first, timeline.end - 1)]
    form = "%H:%M:%S" if ends[0].date() == ends[1].date() else "%Y-%m-%d %H:%M:%S"
    clocks = " to ".join(end.strftime(form) for end in ends)
    return TimeError(f"there is nothing at {printable(text)}: the range is {clocks}")
