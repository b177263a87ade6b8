"""What rows took over from others that a full map threw out: it was counted before.

The rows that a hook makes of those (`toolkit.others`) are the last of a sample: of processes that
were alike, without a pid, and one that is called OTHERS.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import add

from probes.model import OTHERS, Hook, Key, Row, Value


def bases(
    hook: Hook, before: Mapping[Key, Row], now: Mapping[Key, Row]
) -> tuple[Mapping[Key, Row], set[Key]]:
    """Return what such rows are to be compared with, and the rows that they took over.

    before, now: the rows of two samples that follow each other.
    """
    takers = _takers(hook, now)
    if not takers:
        return {}, set()
    left = _thrown_out(hook, before, now)
    pid = _pid(hook)
    found: dict[Key, Row] = {}
    taken: set[Key] = set()
    for key in sorted(takers, key=lambda key: OTHERS in key):
        alike = {k for k in left - taken if OTHERS in key or pid is None or _same(k, key, pid)}
        taken |= alike
        rows = [before[k] for k in (*alike, *({key} & before.keys()))]
        if rows:
            found[key] = _base(hook, now[key], rows)
    return found, taken


def _takers(hook: Hook, now: Mapping[Key, Row]) -> list[Key]:
    found, pid = [], _pid(hook)
    for key in reversed(now if isinstance(now, dict) else dict(now)):
        if OTHERS not in key and (pid is None or key[pid] is not None):
            break
        found.append(key)
    return found


def _thrown_out(hook: Hook, before: Mapping[Key, Row], now: Mapping[Key, Row]) -> set[Key]:
    """Those that are not there, and those that are there again and count from zero."""
    main = hook.places.counters[0][0] if hook.places.counters else None
    again = {
        k for k in before.keys() & now.keys() if main is not None and _less(now, before, k, main)
    }
    return (before.keys() - now.keys()) | again


def _less(now: Mapping[Key, Row], before: Mapping[Key, Row], key: Key, place: int) -> bool:
    some, other = now[key][place], before[key][place]
    return isinstance(some, int) and isinstance(other, int) and some < other


def _pid(hook: Hook) -> int | None:
    names = [hook.places.names[place] for place in hook.places.keys]
    return names.index("pid") if "pid" in names else None


def _same(key: Key, taker: Key, pid: int) -> bool:
    """Whether they are alike but for the process."""
    return key[:pid] + key[pid + 1 :] == taker[:pid] + taker[pid + 1 :]


def _base(hook: Hook, now: Row, rows: list[Row]) -> Row:
    """Their sums, as far as they are in the row by now."""
    made = list(now)
    for place, _, _ in hook.places.sums:
        there = [row[place] for row in rows if row[place] is not None]
        made[place] = _at_most(_sum(there), now[place])
    return tuple(made)


def _sum(values: list[Value]) -> Value:
    if values and isinstance(values[0], tuple):
        total = values[0]
        for value in values[1:]:
            assert isinstance(value, tuple)
            total = tuple(map(add, total, value))
        return total
    return sum([v for v in values if isinstance(v, int | float)])


def _at_most(value: Value, most: Value) -> Value:
    if isinstance(value, tuple) and isinstance(most, tuple):
        return tuple(map(min, value, most))
    if isinstance(value, int | float) and isinstance(most, int | float):
        return min(value, most)
    return most
