"""Syscalls: calls, errors and latency of every system call on the host."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial, reduce

from probes.arrays import FEW
from probes.columns.cells import cells_of, joined
from probes.columns.row_table import ColumnRows
from probes.hooks.syscalls.failing import (
    NOTHING,
    OF_ERRNOS,
    Failed,
    Recent,
    Told,
    by_call,
    name_of,
)
from probes.kernel import capabilities, procfs
from probes.model import Entries, Flat
from probes.toolkit import (
    Hook,
    Opening,
    Reading,
    Row,
    Rung,
    Unit,
    Value,
    c_source,
    counter,
    key,
    latency,
    level,
    row_from,
    row_of,
)
from probes.toolkit.field_cells import cells_from
from probes.toolkit.readers import Uncounted
from probes.toolkit.syscalls_c import rungs, source

_COUNT = c_source(__file__, "count.c")


def _open(opening: Opening) -> Callable[[], Reading]:
    tables = [opening.tables[name] for name in ("rows", "foreign")]
    columns = opening.hook.stored
    readers = [(row_of(columns, table), table.fields["calls"]) for table in tables]
    errnos, names = opening.tables["errnos"], [c.name for c in columns]
    places = [names.index(name) for name in OF_ERRNOS]
    first, last = places[0], places[-1] + 1  # they are side by side
    recent, failures, cells = Recent(), Failed(), cells_from(columns)
    uncounted = Uncounted(opening, {})
    known: dict[int, tuple[Flat, tuple[Value, ...], Row]] = {}

    def read() -> Reading:
        seen = {(int(id), int(error)): int(n) for id, error, n in errnos.rows()}
        told = by_call(recent.added(seen, time.monotonic()), failures.of(seen))
        found = [table.entries(used=True) for table in tables]
        rows = many(found, told) if sum(map(len, found)) > FEW else few(found, told)
        return Reading(rows, uncounted.read())

    def few(found: Iterable[Entries], told: Told) -> Iterator[Row]:
        for entries, (row, calls) in zip(found, readers, strict=True):
            for entry in entries.rows():
                if entry[calls]:
                    yield same_or_new(entry, row, told.get(int(entry[0]), NOTHING))

    def same_or_new(entry: Flat, row: Callable[[Flat], Row], of_errnos: tuple[Value, ...]) -> Row:
        """Return the row before where nothing changed in it: as of half of them."""
        before = known.get(id := int(entry[0]))
        if before is not None and before[0] == entry and before[1] == of_errnos:
            return before[2]
        made = row(entry)
        made = (*made[:first], *of_errnos, *made[last:])
        known[id] = entry, of_errnos, made
        return made

    def many(found: Iterable[Entries], told: Told) -> Iterable[Row]:
        parts = []
        for entries in found:
            called = entries.where(entries["calls"] != 0)
            if len(called):
                made = cells(called)
                of_each = [told.get(id, NOTHING) for id in called["key"].tolist()]
                for place, values in zip(places, zip(*of_each, strict=True), strict=True):
                    made[place] = cells_of(list(values))
                parts.append(made)
        return ColumnRows([reduce(joined, c) for c in zip(*parts, strict=True)]) if parts else ()

    return read


def _proc(opening: Opening) -> Callable[[], Reading]:
    """Read what /proc counts: read and write calls, by the processes that are visible."""
    calls = procfs.FileCalls()
    columns = opening.hook.stored
    return lambda: Reading(
        [row_from(columns, {"syscall": name, "calls": n}) for name, n in calls.read()]
    )


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
            decode=name_of,
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
        counter(
            "failures",
            "Failures",
            "errors other than ordinary answers, by call and errno",
            field=None,
        ),
        level(
            "worst_errno",
            "Worst",
            "most frequent errno of these, a grave one first, last 10 s",
            field=None,
            width=10,
        ),
        level(
            "worst_share",
            "Worst %",
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
