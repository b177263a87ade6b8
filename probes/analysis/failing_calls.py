"""What is wrong with a system call that fails: how much of it, by which errno, how badly.

Pure: a row of `syscalls` in, a judgement out; the same live, recorded and from another host.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from probes.analysis.errnos import ErrnoClass, ErrnoMeaning, errno_meaning
from probes.analysis.snapshot_row import SnapshotRow

LEAST = 5.0
"""Failures a second below which a call is not judged, as a few tell nothing of a share."""
LEAST_GRAVE, GRAVE_SHARE = 1.0, 0.05
"""Grave failures a second, and their share of the calls, from which they are an alarm."""
USUAL_SHARE, PEER_SHARE, COLD_SHARE = 0.25, 1 / 3, 0.5
"""Shares of the calls that have to fail: unusually; by peers; where what is usual is not known."""
PEERS = frozenset({
    "ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "ENETUNREACH", "ETIMEDOUT",
})  # fmt: skip
"""Errnos that others cause."""
LOOKED_FOR, LEAST_LOOKED_FOR = frozenset({"ENOENT"}), 50.0
"""Ordinary errnos of which unusually many are worth a look: something that was there has gone.

And how many a second: each program that starts looks for some files in vain.
"""


class Badness(IntEnum):
    """The gravity of a call's failures."""

    CALM = 0
    NOTICE = 1
    """Unusual, or not known to be usual; nobody is known to be harmed."""
    ALARM = 2
    """Somebody is harmed."""


class FailingCall(NamedTuple):
    """A system call and its failures, as far as they are no ordinary answers.

    rate: a second. share: of the calls. errno: the worst, None where nothing failed; by_errno: its
    share of the calls.
    """

    rate: float
    share: float
    errno: str | None
    by_errno: float
    meaning: ErrnoMeaning


def failing_call(row: SnapshotRow) -> FailingCall:
    """Return what fails of a row of `syscalls`.

    Recordings before `failures` tell of the most frequent errno alone: all errors count as that.
    """
    calls, errors, call = row.rate("calls"), row.rate("errors"), str(row["syscall"])
    known = row.stored.get("failures") is not None
    errno, percent = (row["worst_errno"], row["worst_share"]) if known else _mostly(row)
    named = str(errno) if errno is not None else None
    meaning = errno_meaning(call, named or "")
    rate = row.rate("failures") if known else errors * (named is not None)
    if not known and meaning.errno_class is ErrnoClass.ORDINARY:
        rate, named = 0.0, None
    of_it = errors * (percent / 100 if isinstance(percent, int | float) else 1)
    share = calls and 1 / calls
    return FailingCall(rate, rate * share, named, min(of_it, rate) * share, meaning)


def _mostly(row: SnapshotRow) -> tuple[object, object]:
    return row["top_errno"], row["top_share"]


def badness(row: SnapshotRow, *, unusual: bool) -> Badness:
    """Return how bad the failures of a row of `syscalls` are.

    unusual: whether its errors are, by its history.
    """
    if row.rate("errors") < LEAST_GRAVE:  # most rows: what follows is made when asked for
        return Badness.CALM
    found, calls = failing_call(row), row.rate("calls")
    grave = found.by_errno if found.meaning.errno_class is ErrnoClass.GRAVE else 0.0
    if grave >= GRAVE_SHARE and grave * calls >= LEAST_GRAVE:
        return Badness.ALARM
    if found.rate >= LEAST:
        if unusual and found.share >= USUAL_SHARE:
            return Badness.ALARM
        if found.errno in PEERS and found.by_errno > PEER_SHARE:
            return Badness.ALARM
        if found.share > COLD_SHARE:
            return Badness.NOTICE
    looked_for = row["top_errno"] in LOOKED_FOR
    many = row.rate("errors") >= max(LEAST_LOOKED_FOR, USUAL_SHARE * calls)
    return Badness.NOTICE if unusual and looked_for and many else Badness.CALM
