"""Judgement on a failing system call: which share fails, with which errno, how badly.

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
PROCESS_SHARE, ALWAYS_SHARE, OFTEN = 0.5, 0.9, 20.0
"""Shares of a process's own calls that have to fail, mostly; nearly all, and how often a second."""
HARMFUL = frozenset({
    "ECONNRESET", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "ECONNABORTED",
    "ECONNREFUSED", "EMSGSIZE", "EFBIG", "EADDRNOTAVAIL", "EADDRINUSE", "ETXTBSY", "EPROTO",
})  # fmt: skip
"""Errnos with which a process's work comes to nothing, where most of its calls fail so."""
DENIED = frozenset({"EACCES", "EPERM"})
"""Errnos that programs try for in vain: harm only where nearly all of a process's calls fail so."""
MONITORING = frozenset({"bpf", "perf_event_open"})
"""Calls of programs as this one, which try what a kernel allows."""
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
        harmful = found.errno in HARMFUL | DENIED
        if unusual and found.share >= USUAL_SHARE:
            return Badness.ALARM if harmful else Badness.NOTICE
        if found.errno in PEERS and found.by_errno > PEER_SHARE:
            return Badness.ALARM
        if harmful and found.share > COLD_SHARE:
            return Badness.NOTICE
    looked_for = row["top_errno"] in LOOKED_FOR
    many = row.rate("errors") >= max(LEAST_LOOKED_FOR, USUAL_SHARE * calls)
    return Badness.NOTICE if unusual and looked_for and many else Badness.CALM


def suspicion(call: str, found: FailingCall, *, local: bool = False) -> int:
    """Return how much it is worth knowing whose calls these are: a share of all may hide one's.

    0: nothing. Connects have a hook of their own, which tells who and where; local: these are of
    none of its.
    """
    if found.errno is None:
        return 0
    if found.meaning.errno_class is ErrnoClass.GRAVE:
        return 2 if found.by_errno and found.rate >= LEAST_GRAVE else 0
    named = found.errno in HARMFUL or found.errno in DENIED
    return int(named and found.rate >= LEAST and (local or call != "connect"))


def badness_of_process(
    call: str,
    errno: str | None,
    failures: float,
    calls: float,
    *,
    lasting: bool,
    local: bool = False,
) -> bool:
    """Return whether a process is harmed by the failures of its calls. Both a second.

    errno: the latest; None: unknown. lasting: whether the call fails again and again. local: as in
    `suspicion`.
    """
    if errno is None or not calls:
        return False
    share = failures / calls
    if errno_meaning(call, errno).errno_class is ErrnoClass.GRAVE:
        return failures >= LEAST_GRAVE and share >= GRAVE_SHARE
    if not lasting or failures < LEAST or (call == "connect" and not local):
        return False
    if errno in DENIED:
        return share >= ALWAYS_SHARE and failures >= OFTEN
    return errno in HARMFUL and share >= PROCESS_SHARE
