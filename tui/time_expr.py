"""A time that a person writes: of the day, or so many seconds on or back."""

from __future__ import annotations

from datetime import datetime, timedelta

from probes.units import printable

_SLACK = 60
"""Seconds that a time may be outside: 12:03 is meant where the first moment is of 12:03:10."""


class TimeError(ValueError):
    """What is no time, or outside; one sentence."""


def meant(text: str, begin: float, end: float, *, now: float) -> float:
    """Unix seconds of HH:MM, HH:MM:SS, +SECONDS or -SECONDS from `now`, between two moments.

    A time of the day is the first such after the beginning. Raises TimeError.
    """
    wall = _wall(text.strip(), begin, now)
    if not begin - _SLACK <= wall <= end + _SLACK:
        clocks = " to ".join(datetime.fromtimestamp(w).strftime("%H:%M:%S") for w in (begin, end))
        raise TimeError(f"there is nothing of {printable(text)}: it is from {clocks}")
    return wall


def _wall(text: str, begin: float, now: float) -> float:
    if text[:1] in ("+", "-"):
        try:
            return now + float(text)
        except ValueError:
            pass
    for form in ("%H:%M:%S", "%H:%M"):
        try:
            clock = datetime.strptime(text, form).time()
        except ValueError:
            continue
        when = datetime.combine(datetime.fromtimestamp(begin).date(), clock)
        late = when.timestamp() < begin - _SLACK  # past midnight
        return (when + timedelta(days=1) if late else when).timestamp()
    raise TimeError(f"{printable(text)!r} is no time: write 12:03, 12:03:10, +90 or -30 (seconds)")
