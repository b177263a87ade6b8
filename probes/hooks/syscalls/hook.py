"""Syscalls: calls, errors and latency of every system call on the host."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial, reduce
from math import inf

from probes.analysis.snapshot import Trail
from probes.arrays import FEW
from probes.columns.cells import cells_of, joined
from probes.columns.row_table import ColumnRows
from probes.kernel import capabilities, procfs, syscall_table
from probes.model import Entries
from probes.toolkit import (
    Hook,
    Opening,
    Reading,
    Row,
    Rung,
    Unit,
    c_source,
    counter,
    decode,
    key,
    latency,
    level,
    row_from,
    row_of,
)
from probes.toolkit.field_cells import cells_from
from probes.toolkit.syscalls_c import OTHER, rungs, source

_COUNT = c_source(__file__, "count.c")


def _open(opening: Opening) -> Callable[[], Reading]:
    tables = [opening.tables[name] for name in ("rows", "foreign")]
    columns = opening.hook.stored
    readers = [(row_of(columns, table), table.fields["calls"]) for table in tables]
    errnos, names = opening.tables["errnos"], [c.name for c in columns]
    mostly, share, recent = names.index("top_errno"), names.index("top_share"), Recent()
    cells = cells_from(columns)

    def read() -> Reading:
        seen = {(int(id), int(error)): int(n) for id, error, n in errnos.rows()}
        most = most_frequent(recent.added(seen, time.monotonic()))
        found = [table.entries(used=True) for table in tables]
        return Reading(many(found, most) if sum(map(len, found)) > FEW else few(found, most))

    def few(found: Iterable[Entries], most: Mostly) -> Iterator[Row]:
        for entries, (row, calls) in zip(found, readers, strict=True):
            for entry in entries.rows():
                if entry[calls]:
                    plain = list(row(entry))
                    plain[mostly], plain[share] = most.get(int(entry[0]), (None, None))
                    yield tuple(plain)

    def many(found: Iterable[Entries], most: Mostly) -> Iterable[Row]:
        parts = []
        for entries in found:
            called = entries.where(entries["calls"] != 0)
            if len(called):
                made = cells(called)
                told = [most.get(id, (None, None)) for id in called["key"].tolist()]
                made[mostly] = cells_of([name for name, _ in told])
                made[share] = cells_of([percent for _, percent in told])
                parts.append(made)
        return ColumnRows([reduce(joined, c) for c in zip(*parts, strict=True)]) if parts else ()

    return read


Mostly = Mapping[int, tuple[str, float]]
"""The most frequent errno of a failing system call, and its share in percent."""
Failures = Mapping[tuple[int, int], int]
"""Number of failures by system call and errno."""


class Recent:
    """Growth of counts over the last ten seconds, where the counts are read now and then."""

    _LEAST = 0.9
    """Seconds between two kept readings, at least."""

    def __init__(self) -> None:
        self._kept: deque[tuple[float, Failures]] = deque([(-inf, {})])

    def added(self, seen: Failures, now: float) -> dict[tuple[int, int], int]:
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


def most_frequent(failures: Failures) -> Mostly:
    """Return each failing system call's most frequent errno, and its share in percent."""
    by_call: dict[int, dict[int, int]] = defaultdict(dict)
    for (id, error), times in failures.items():
        by_call[id][error] = times
    most = {id: max(errors, key=lambda e: (errors[e], -e)) for id, errors in by_call.items()}
    return {
        id: (decode.errno_name(error), 100 * by_call[id][error] / sum(by_call[id].values()))
        for id, error in most.items()
    }


def _proc(opening: Opening) -> Callable[[], Reading]:
    """Read what /proc counts: read and write calls, by the processes that are visible."""
    calls = procfs.FileCalls()
    columns = opening.hook.stored
    return lambda: Reading(
        [row_from(columns, {"syscall": name, "calls": n}) for name, n in calls.read()]
    )


def _name(number: object) -> str:
    assert isinstance(number, int)
    return "other numbers" if number == OTHER else syscall_table.name(number)


HOOK = Hook(
    name="syscalls",
    title="Syscalls",
    question="Which system calls are made, which fail and why, and which stall.",
    columns=(
        key(
            "syscall",
            "Syscall",
            "name from the architecture's table, or from that of 32-bit or x32 calls",
            field="key",
            decode=_name,
            width=18,
        ),
        counter("calls", "Calls", "calls that returned"),
        counter("errors", "Errors", "calls that returned an error"),
        level("top_errno", "Mostly", "most frequent errno, last 10 s", field=None, width=10),
        level(
            "top_share",
            "Share",
            "share of that errno in all errors, last 10 s",
            Unit.PERCENT,
            field=None,
        ),
        *latency("latency", "time in the call"),
    ),
    ladder=(
        *rungs(partial(source, _COUNT), _open),
        Rung("proc", "nothing; other users' processes need root", _proc),
    ),
    order=60,
    reads_with=capabilities.PROCESSES,
)
