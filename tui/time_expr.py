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
    begin, end = min(walls), max(walls)
    times = list(_times(clock, begin, text))
    there = [t for t in times if begin - _SLACK <= t.timestamp() <= end + _SLACK]
    zones = dict.fromkeys(t.tzname() or "" for t in there)
    if zone.strip():
        there = [t for t in there if (t.tzname() or "").casefold() == zone.strip().casefold()]
    if not there:
        if zones:
            raise TimeError(f"{clock} is of {' and '.join(zones)} there")
        if not times:
            raise TimeError(f"there was no {clock} that day: the clock went on past it")
        raise _outside(text, reel)
    wall = there[0].timestamp()
    number, *later = islice(reel.all_near(wall), 2) or (reel.first,)
    if len(there) > 1 and there[1].timestamp() - wall < 86400 / 2:
        first, other = there[0].tzname(), there[1].tzname()
        return Meant(number, f"{clock} comes twice: this is the first, of {first}, not {other}")
    if later:
        return Meant(number, f"{clock} comes twice, the clock was put back: this is the first")
    return Meant(number)


def _times(clock: str, begin: float, text: str) -> Iterator[datetime]:
    """When the clocks say so, from the day of the beginning on, in turn. Raises TimeError."""
    for form in ("%H:%M:%S", "%H:%M"):
        try:
            time = datetime.strptime(clock, form).time()
        except ValueError:
            continue
        for days in (0, 1):
            day = datetime.fromtimestamp(begin).date() + timedelta(days)
            # The earlier and the later of an hour that comes twice, else the same.
            both = [datetime.combine(day, time.replace(fold=fold)) for fold in (0, 1)]
            for wall in sorted({t.timestamp() for t in both}):
                found = datetime.fromtimestamp(wall).astimezone()
                if found.time() == time:  # there is such a time
                    yield found
        return
    raise TimeError(f"{printable(text)!r} is no time: write 12:03, 12:03:10, +90 or -30 (seconds)")


def _outside(text: str, reel: Reel) -> TimeError:
    ends = (reel.wall(n) for n in (reel.first, reel.end - 1))
    clocks = " to ".join(datetime.fromtimestamp(w).strftime("%H:%M:%S") for w in ends)
    return TimeError(f"there is nothing of {printable(text)}: it is from {clocks}")
