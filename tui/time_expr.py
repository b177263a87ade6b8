"""A time that a person writes: of the day, or so many seconds on or back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple

from probes.recording.tape import Reel
from probes.units import printable

_SLACK = 60
"""Seconds that a time may be outside: 12:03 is meant where the first moment is of 12:03:10."""

_HALF_A_DAY = 43_200


class TimeError(ValueError):
    """What is no time, or outside; one sentence."""


class Meant(NamedTuple):
    """A moment's number. note: which of several it is; "": there is no other."""

    number: int
    note: str = ""


def meant(text: str, reel: Reel, now: int) -> Meant:
    """The moment of HH:MM or HH:MM:SS, or of +SECONDS or -SECONDS from the moment `now` on.

    A time of the day is the first such after the beginning; a zone's name behind it ("02:30 CET")
    tells the two of an hour that comes twice apart. Seconds are counted by what was recorded,
    whatever was done to the clock meanwhile. Raises TimeError.
    """
    text = text.strip()
    if text[:1] in ("+", "-"):
        try:
            return Meant(_passed(text, reel, now))
        except ValueError as wrong:
            if isinstance(wrong, TimeError):
                raise
    return _of_day(text, reel)


def _passed(text: str, reel: Reel, now: int) -> int:
    seconds = float(text)
    begin, end = (reel.clock(n) - reel.clock(now) for n in (reel.first, reel.end - 1))
    if not begin - _SLACK <= seconds <= end + _SLACK:
        raise _outside(text, reel)
    return reel.away(now, seconds)


def _of_day(text: str, reel: Reel) -> Meant:
    clock, _, zone = text.partition(" ")
    walls = [reel.wall(n) for n in range(reel.first, reel.end)]
    begin, end = min(walls) - _SLACK, max(walls) + _SLACK
    asked = [t for t in _times(clock, min(walls), text) if begin <= t.timestamp() <= end]
    there = [t for t in map(_shown, asked) if t.time() == asked[0].time()]
    if not there and asked:
        raise TimeError(f"there was no {clock} that day: the clock went on past it")
    zones = dict.fromkeys(t.tzname() or "" for t in there)
    if zones and (wanted := zone.strip().casefold()):
        there = [t for t in there if (t.tzname() or "").casefold() == wanted]
        if not there:
            raise TimeError(f"{clock} is of {' and '.join(zones)} there")
    if not there:
        raise _outside(text, reel)
    wall = there[0].timestamp()
    number, *later = list(islice(reel.near(wall), 2)) or [reel.first]
    if len(there) > 1 and there[1].timestamp() - wall < _HALF_A_DAY:
        first, other = there[0].tzname(), there[1].tzname()
        note = f"{clock} comes twice: this is the first, of {first}; the other is '{clock} {other}'"
        return Meant(number, note)
    if later:
        return Meant(number, f"{clock} comes twice, the clock was put back: this is the first")
    return Meant(number)


def _times(clock: str, begin: float, text: str) -> Iterator[datetime]:
    """When the clocks should say so, on the day of the beginning and the next, in turn: both where
    it comes twice. Raises TimeError."""
    for form in ("%H:%M:%S", "%H:%M"):
        try:
            time = datetime.strptime(clock, form).time()
        except ValueError:
            continue
        for days in (0, 1):
            day = datetime.fromtimestamp(begin).date() + timedelta(days)
            both = [datetime.combine(day, time.replace(fold=fold)) for fold in (0, 1)]
            yield from {t.timestamp(): t for t in both}.values()
        return
    raise TimeError(f"{printable(text)!r} is no time: write 12:03, 12:03:10, +90 or -30 (seconds)")


def _shown(time: datetime) -> datetime:
    """What the clocks do say then; another time where that one is left out."""
    return datetime.fromtimestamp(time.timestamp()).astimezone()


def _outside(text: str, reel: Reel) -> TimeError:
    ends = (reel.wall(n) for n in (reel.first, reel.end - 1))
    clocks = " to ".join(datetime.fromtimestamp(w).strftime("%H:%M:%S") for w in ends)
    return TimeError(f"there is nothing of {printable(text)}: it is from {clocks}")
