"""The reader of the rungs of tcp-connect that have programs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

from probes.columns.row_table import ColumnRows
from probes.hooks.tcp_connect.columns import EmptyRows, completed, empty_row, empty_rows
from probes.hooks.tcp_connect.waiting import (
    NOBODY,
    UNDER_WAY,
    BegunBefore,
    MissedEnds,
    Waiting,
    WaysOut,
    Who,
)
from probes.kernel.procfs import netns
from probes.model import Column, Flat, Opening, Reading, Row, Table, Value
from probes.toolkit.counters_c import counted
from probes.toolkit.decode import address, comm, errno_name
from probes.toolkit.field_cells import cells_from
from probes.toolkit.others import Others
from probes.toolkit.readers import (
    Uncounted,
    once_each,
    record,
    row_of,
    take,
    thread_of,
)

FAILURES = ("refused", "unreachable", "timed_out", "gave_up", "no_port", "other")
NEVER_SENT_NS = 1_000_000_000
"""An attempt whose SYN was not sent within these nanoseconds failed within the call."""
NEVER_WRITTEN_NS = 60 * NEVER_SENT_NS
"""The same where the SYN may wait for the first write (TCP_FASTOPEN_CONNECT)."""
_LATER, _CALLED = 2, 3
"""In `sent`, as in C: not counted yet; the kernel's function had not returned."""
_RESULTS = {
    0: "established",
    111: "refused",
    101: "unreachable",
    113: "unreachable",
    110: "timed out",
    99: "no local port",
    -1: "gave up",
}


def open_connects(opening: Opening) -> Callable[[], Reading]:
    """Return a reader: rows from `rows`, those under way from `pending`, the log from `events`."""
    rows, lost = opening.tables["rows"], opening.tables["lost"]
    columns = opening.hook.stored
    row, cells, others = row_of(columns, rows), cells_from(columns), Others(opening)
    full = Uncounted(opening, {"calls": thread_of, "calling": thread_of})
    under_way, complete = _Pending(opening, others), _Completion(columns)

    def read() -> Reading:
        log, waiting = _log(opening), under_way.find()
        others.before()
        entries = rows.entries()
        alike = partial(empty_rows, entries, rows.fields, cells)
        made = complete(others.many(entries, row, cells), waiting, alike)
        unknown = counted(lost) + full.read() + under_way.unsettled
        return Reading(made, unknown, log, counted(lost, 1))

    return read


class _Completion:
    """Adds what has failed and what is under way to rows.

    A row without any number is of an address whose link was not known at first: it is left out.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns, self._empty = columns, empty_row(columns)
        self._at = at = {c.name: i for i, c in enumerate(columns)}
        self._failures = itemgetter(*(at[name] for name in FAILURES))
        numbers = ("connects", "established", "failed", "pending")
        self._told = itemgetter(*(at[c] for c in numbers))

    def __call__(self, made: Iterable[Row], waiting: Waiting, alike: EmptyRows) -> Iterable[Row]:
        if isinstance(made, ColumnRows):
            many = completed(made, self._columns, FAILURES, waiting, alike)
            if many is not None:
                return many
        found = list(made)
        missing = waiting.keys() - {row[:4] for row in found} if waiting else ()
        found += [self._empty(who) for who in missing]
        return filter(None, [self._one(list(row), waiting) for row in found])

    def _one(self, values: list[Value], waiting: Waiting) -> Row:
        at, waits = self._at, waiting.get(tuple(values[:4]), NOBODY).told()
        values[at["failed"]] = sum(filter(None, self._failures(values)))
        for name, value in zip(UNDER_WAY, waits, strict=True):
            values[at[name]] = value
        return tuple(values) if any(self._told(values)) else ()


class _Pending:
    """Attempts under way: those in `pending`, and those that began before.

    What has ended unseen is taken from there. unsettled: of how many the outcome is not known.
    """

    def __init__(self, opening: Opening, others: Others) -> None:
        self._pending, self._others = opening.tables["pending"], others
        self._key_of, self._missed = _keys(opening.tables["rows"]), MissedEnds()
        self._ways_out = WaysOut()
        self._before = BegunBefore(
            (address(attempt["raddr"]), attempt["rport"], int(attempt["at"]))
            for _, attempt in self._attempts()
        )
        self.unsettled = 0

    def _attempts(self) -> list[tuple[Flat, Mapping[str, Any]]]:
        return [(entry, record(self._pending, entry)) for entry in self._pending.rows()]

    def find(self) -> Waiting:
        """Return who waits, and for how long."""
        waiting: Waiting = {}
        now, here = time.monotonic_ns(), netns()
        for caller, begun in self._before.find():
            waiting[caller] = waiting.get(caller, NOBODY).and_one(now - begun)
        found = self._attempts()
        ended = self._missed.find(_ages(attempt for _, attempt in found)) if found else ()
        elsewhere: dict[Who, int] = {}
        for entry, attempt in found:
            patience = NEVER_WRITTEN_NS if attempt["deferred"] else NEVER_SENT_NS
            age = max(now - int(attempt["at"]), 0)
            if attempt["socket"] in ended:
                self.unsettled += take(self._pending, entry)
            elif attempt["sent"] == 1 or age < patience:
                caller = _who(attempt)
                waiting[caller] = waiting.get(caller, NOBODY).and_one(age)
                if attempt["netns"] != here:
                    elsewhere[caller] = int(attempt["netns"])
            elif take(self._pending, entry):
                self._never_sent(attempt)
        self._ways_out.tell(waiting, elsewhere)
        return waiting

    def _never_sent(self, attempt: Mapping[str, Any]) -> None:
        """Count an attempt that failed within the call, unless its return was missed."""
        if attempt["sent"] == _CALLED:
            self.unsettled += 1
            return
        for field in ("other", *("connects",) * (attempt["sent"] == _LATER)):
            self._others.add(self._key_of(attempt), field)


def _who(attempt: Mapping[str, Any]) -> Who:
    where = address(attempt["raddr"]), attempt["rport"]
    return attempt["pid"], comm(attempt["comm"]), *where


def _ages(attempts: Iterable[Mapping[str, Any]]) -> dict[int, int]:
    """Return the ages of those whose sockets are known, and of this network namespace."""
    now, here = time.monotonic_ns(), netns()
    return {a["socket"]: now - a["at"] for a in attempts if a["socket"] and a["netns"] == here}


def _keys(rows: Table) -> Callable[[Mapping[str, Any]], Flat]:
    """Return the function that makes the key of an attempt's row; what it has no field for is 0."""
    names = [name for name, at in rows.fields.items() if isinstance(at, int) and at < rows.keys]
    return lambda attempt: tuple(attempt.get(name, 0) for name in names)


def _log(opening: Opening) -> list[Row]:
    """Return the attempts decided since the previous reading, laid out as the hook's log."""
    queue = opening.tables["events"]
    names = ("pid", "comm", "raddr", "rport", "error", "ns")
    wanted: Callable[[Flat], tuple[Any, ...]] = itemgetter(*(queue.fields[n] for n in names))
    events = list(map(wanted, queue.drain()))
    if not events:
        return []
    pid, name, raddr, rport, error, ns = zip(*events, strict=True)
    return list(
        zip(
            pid,
            once_each(comm, name),
            once_each(address, raddr),
            rport,
            once_each(_result, error),
            [took or None for took in ns],
            strict=True,
        )
    )


def _result(error: int) -> str:
    return _RESULTS.get(error) or errno_name(error)
