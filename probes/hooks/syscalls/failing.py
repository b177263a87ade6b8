"""What errnos tell of failing calls: the most frequent, the worst, and how many are no answers."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from functools import lru_cache
from math import inf

from probes.analysis.errnos import ErrnoClass, errno_meaning
from probes.analysis.snapshot import Trail
from probes.kernel import syscall_table
from probes.model import Value
from probes.toolkit import decode
from probes.toolkit.syscalls_c import OTHER

Counts = Mapping[tuple[int, int], int]
"""Number of errors by system call and errno."""
OF_ERRNOS = ("top_errno", "top_share", "failures", "worst_errno", "worst_share")
"""The columns that errnos tell."""
Most = tuple[str | None, float | None]
"""An errno's name, and its share in percent."""
Told = Mapping[int, tuple[Value, ...]]
"""The values of these columns, by system call."""
NOTHING: tuple[Value, ...] = (None, None, 0, None, None)
"""The same of a call that has not failed."""
_TENTH = 0.1
"""The share of grave errors that makes them the worst."""


class Failed:
    """Errors that are no ordinary answers, since the start, where counts may begin again."""

    def __init__(self) -> None:
        self._before: Counts = {}
        self._totals: dict[int, int] = {}

    def of(self, seen: Counts) -> Mapping[int, int]:
        """Return the total of each call, given what is counted now."""
        before, totals = self._before, self._totals
        for what, n in seen.items():
            known = before.get(what, 0)
            if n != known and _class(*what) is not ErrnoClass.ORDINARY:
                totals[what[0]] = totals.get(what[0], 0) + (n - known if n > known else n)
        self._before = seen
        return totals


@lru_cache(4096)
def _class(id: int, error: int) -> ErrnoClass:
    return errno_meaning(name_of(id), decode.errno_name(error)).errno_class


class Recent:
    """Growth of counts over the last ten seconds, where the counts are read now and then."""

    _LEAST = 0.9
    """Seconds between two kept readings, at least."""

    def __init__(self) -> None:
        self._kept: deque[tuple[float, Counts]] = deque([(-inf, {})])

    def added(self, seen: Counts, now: float) -> dict[tuple[int, int], int]:
        """Return what was added to these counts; now: seconds.

        One that went back has started again.
        """
        kept = self._kept
        while len(kept) > 1 and kept[1][0] <= now - Trail.WINDOW:
            kept.popleft()
        base = kept[0][1]
        if now - kept[-1][0] >= self._LEAST:
            kept.append((now, seen))
        added = {what: n - base.get(what, 0) for what, n in seen.items()}
        return {what: n if n >= 0 else seen[what] for what, n in added.items() if n}


def by_call(recent: Counts, failures: Mapping[int, int]) -> Told:
    """Return what errnos tell of each call. recent: errors of the last seconds; failures: totals.

    Of errors that are no ordinary answers, the worst is a grave one where it is a tenth of them.
    """
    calls: dict[int, dict[int, int]] = defaultdict(dict)
    for (id, error), times in recent.items():
        calls[id][error] = times
    return {id: _told(id, calls[id], failures.get(id, 0)) for id in calls.keys() | failures.keys()}


def _told(id: int, errors: Mapping[int, int], failures: int) -> tuple[Value, ...]:
    if len(errors) == 1:  # as of most calls
        (error,) = errors
        most, worst = _only(id, error)
    else:
        most, worst = _mostly(errors), _worst(id, errors)
    return *most, failures, *worst


@lru_cache(4096)
def _only(id: int, error: int) -> tuple[Most, Most]:
    """Return what is most frequent, and the worst, where a call has this errno alone."""
    one = {error: 1}
    return _mostly(one), _worst(id, one)


def _mostly(errors: Mapping[int, int]) -> Most:
    """Return the most frequent errno, and its share in percent."""
    if not errors:
        return None, None
    most = max(errors, key=lambda e: (errors[e], -e))
    return decode.errno_name(most), 100 * errors[most] / sum(errors.values())


def _worst(id: int, errors: Mapping[int, int]) -> Most:
    """Return the most frequent errno of the worst class, and its share of all errors in percent."""
    failed = {e: n for e, n in errors.items() if _class(id, e) is not ErrnoClass.ORDINARY}
    grave = {e: n for e, n in failed.items() if _class(id, e) is ErrnoClass.GRAVE}
    worst, _ = _mostly(grave if sum(grave.values()) >= _TENTH * sum(failed.values()) else failed)
    number = next((e for e in failed if decode.errno_name(e) == worst), None)
    return worst, 100 * errors[number] / sum(errors.values()) if number is not None else None


def name_of(number: object) -> str:
    """Return the name of a system call, by its number in the map."""
    assert isinstance(number, int)
    return "other numbers" if number == OTHER else syscall_table.name(number)
