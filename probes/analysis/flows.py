"""One interface's counters as flows: packets since the start and per second, by their meaning."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from probes.analysis.classes import is_lost
from probes.analysis.drop_stages import function_of
from probes.analysis.snapshot import Snapshot
from probes.analysis.snapshot_row import SnapshotRow
from probes.model import HookId, Sample, same_totals
from probes.units import DASH

Snapshots = Mapping[str, Sequence[Snapshot]]
"""The latest snapshots by hook: one for each target."""
Since = Mapping[HookId, Sample]
"""Samples that counting starts from; see `remember`."""

_ASTRAY = ("tx", "redirect")
_READ_APART = ("interfaces", "drops", "qdiscs", "xdp-errors")


class Flow(NamedTuple):
    """A number of packets: since the start, and per second (None: not known)."""

    total: int = 0
    per_s: float | None = 0.0

    def plus(self, other: Flow) -> Flow:
        return Flow(self.total + other.total, _both(self.per_s, other.per_s, 1))

    def less(self, other: Flow) -> Flow:
        """Return the difference, never below zero: two counters are not read at the same moment."""
        rate = _both(self.per_s, other.per_s, -1)
        return Flow(max(0, self.total - other.total), None if rate is None else max(0.0, rate))

    def most(self, other: Flow) -> Flow:
        """Return the greater of two counters of the same packets, one of which may not see all."""
        rates = [r for r in (self.per_s, other.per_s) if r is not None]
        return Flow(max(self.total, other.total), max(rates, default=None))

    def shared(self, other: Flow) -> Flow:
        """Return the part of one counter that another explains."""
        return self.less(self.less(other))


def _both(a: float | None, b: float | None, sign: int) -> float | None:
    return None if a is None or b is None else round(a + sign * b, 6)


def sum_of(flows: Iterable[Flow]) -> Flow:
    total = Flow()
    for flow in flows:
        total = total.plus(flow)
    return total


class Cause(NamedTuple):
    """Why, or by which program or rule, packets were lost."""

    why: str
    lost: Flow


class Freed(NamedTuple):
    """Why and where the kernel freed packets, and whether somebody waited for them."""

    reason: str
    function: str
    lost: bool


class InterfaceCounters:
    """Counters of one interface as flows."""

    def __init__(self, snapshots: Snapshots, interface: str, since: Since) -> None:
        self._snapshots, self._interface, self._since = snapshots, interface, since
        intervals = (s.interval for group in snapshots.values() for s in group if s.interval)
        self._interval = next(intervals, 1.0)

    def rows(self, hook: str) -> list[tuple[Snapshot, SnapshotRow]]:
        return [
            (snapshot, row)
            for snapshot in self._snapshots.get(hook, ())
            for row in snapshot.rows
            if row["interface"] == self._interface
        ]

    def flow(self, snapshot: Snapshot, row: SnapshotRow, *columns: str) -> Flow:
        return sum_of(self._one(snapshot, row, column) for column in columns)

    def _one(self, snapshot: Snapshot, row: SnapshotRow, column: str) -> Flow:
        value = row[column]
        if not isinstance(value, int):
            return Flow()
        first = self._since.get(snapshot.id)
        before = first.rows.get(row.key) if first is not None else None
        here = snapshot.sample.epoch
        if first is not None and before is not None and same_totals(first.epoch, here):
            start = before[snapshot.hook.places.names.index(column)]
            value -= start if isinstance(start, int) and start <= value else 0
        rate = row.rates.get(column)
        # Hooks are not read at the same moment: what is compared is how many packets came between
        # two readings, and each second's share of those is the same for all.
        share = (snapshot.interval or self._interval) / self._interval
        return Flow(value, None if rate is None else rate * share)

    def link(self, *columns: str) -> Flow | None:
        """Return a counter of the interface itself; None where it is not known."""
        rows = self.rows("interfaces")
        return sum_of(self.flow(*found, *columns) for found in rows) if rows else None

    def level(self, hook: str, *columns: str) -> set[str]:
        """Return the values of these columns in a hook's rows."""
        return {str(row.values.get(name)) for _, row in self.rows(hook) for name in columns}

    @property
    def traced(self) -> bool:
        """Return whether the kernel's own drops are seen one by one, not as sums of counters."""
        return any(s.sample.from_zero and s.status.rung for s in self._snapshots.get("drops", ()))

    def drops(self) -> Mapping[Freed, Flow]:
        """Return the kernel's own drops."""
        found: dict[Freed, Flow] = defaultdict(Flow)
        for snapshot, row in self.rows("drops") if self.traced else ():
            function = function_of(str(row["location"]))
            key = Freed(str(row["reason"]), function, is_lost(row.stored))
            found[key] = found[key].plus(self.flow(snapshot, row, "packets"))
        return found

    def programs(self, hook: str, verdicts: Sequence[str], direction: str = "") -> list[Cause]:
        """Return what each program (others' and ours) did with packets in one of these ways."""
        return [
            Cause(
                f"{row['program']}#{row['program_id']}",
                self.flow(snapshot, row, *verdicts),
            )
            for snapshot, row in self.rows(hook)
            if not direction or row["direction"] == direction
        ]

    def tc_drops(self, direction: str) -> list[Cause]:
        """Return what each TC program dropped, in skbs where that is known."""
        return self._tc("drop", direction)

    def redirected(self) -> Flow:
        """Return what TC programs sent elsewhere on the way in."""
        return sum_of(c.lost for c in self._tc("redirect", "ingress"))

    def _tc(self, verdict: str, direction: str) -> list[Cause]:
        return [
            Cause(
                f"{row['program']}#{row['program_id']}",
                self.flow(
                    snapshot,
                    row,
                    verdict if row.values.get(f"{verdict}_skbs") is None else f"{verdict}_skbs",
                ),
            )
            for snapshot, row in self.rows("tc-programs")
            if row["direction"] == direction
        ]

    def says(self, column: str, value: int = 1) -> bool:
        """Return whether the interface has this number in this column."""
        return str(value) in self.level("interfaces", column)

    def silent(self) -> bool:
        """Return whether it has an XDP program whose redirects are not counted."""
        return any(row["tx"] is None for _, row in self.rows("xdp-programs"))

    def comes_back(self) -> bool:
        """Return whether some of what XDP redirected may have come back to TC, by another CPU."""
        return any(
            row.values.get("to_cpus") == 1 and self.flow(snapshot, row, "redirect") != Flow()
            for snapshot, row in self.rows("xdp-programs")
        )

    def sent_by_xdp(self) -> Flow:
        """Return what XDP programs sent back, past TC and the queue."""
        hooks = ("xdp-programs", "xdp")
        sent = sum_of(c.lost for hook in hooks for c in self.programs(hook, ("tx",)))
        return sent.less(sum_of(c.lost for c in self.astray("tx")))

    def aborted(self) -> list[Cause]:
        """Return what XDP programs aborted.

        Empty where their drops are known, as these include aborted packets.
        """
        hooks = ("xdp-programs", "xdp")
        if any(row["drop"] is not None for hook in hooks for _, row in self.rows(hook)):
            return []
        return [
            Cause(str(row["program"] or "an XDP program"), self.flow(snapshot, row, "packets"))
            for snapshot, row in self.rows("xdp-errors")
            if row["answer"] not in _ASTRAY
        ]

    def astray(self, *answers: str) -> list[Cause]:
        """Return what XDP could not send back ("tx") or to where it was redirected ("redirect")."""
        return [
            Cause(_failed(row), self.flow(snapshot, row, "packets"))
            for snapshot, row in self.rows("xdp-errors")
            if row["answer"] in (answers or _ASTRAY)
        ]

    def refused(self) -> Flow:
        """Return what others' XDP programs redirected here, and was not accepted."""
        return sum_of(
            self.flow(snapshot, row, "packets")
            for snapshot in self._snapshots.get("xdp-errors", ())
            for row in snapshot.rows
            if row["to"] == self._interface
        )

    def queue(self) -> list[Cause]:
        """Return the drops of the root qdisc, including those of the qdiscs below it."""
        return [
            Cause(f"{row['kind']} {row['handle']}", self.flow(snapshot, row, "dropped"))
            for snapshot, row in self.rows("qdiscs")
            if row["parent"] == "root"
        ]

    def queue_kinds(self) -> set[str]:
        """Return the kinds of the root qdiscs; empty where they are not read."""
        return {str(row["kind"]) for _, row in self.rows("qdiscs") if row["parent"] == "root"}

    def doubt(self, of: Flow) -> Flow:
        """Return how far two counters of these packets may differ only because two hooks read them.

        They are read one after the other, now and before: packets that came in between, twice as
        many.
        """
        read = [s for hook in _READ_APART for s in self._snapshots.get(hook, ())]
        now = [s.sample.time for s in read]
        before = [s.sample.time - s.interval for s in read if s.interval]
        first = [self._since[s.id].time for s in read if s.id in self._since]
        elapsed = max(now, default=0) - max(first, default=0)
        fastest = max(of.per_s or 0, of.total / elapsed if first and elapsed > 0 else 0)
        return Flow(
            math.ceil(2 * fastest * (_apart(now) + _apart(first))),
            2 * fastest * (_apart(now) + _apart(before)) / self._interval,
        )

    def seen(self, hook: str, column: str) -> Flow | None:
        """Return what a program of ours at the head of TC counted.

        "skbs", or "packets" (segments).
        """
        active = [(s, row) for s, row in self.rows(hook) if s.sample.from_zero]
        if not active or any(row[column] is None for _, row in active):
            return None  # recordings of before have no skbs
        return sum_of(self.flow(*found, column) for found in active)


def _failed(row: SnapshotRow) -> str:
    """Return a failed redirect in words: xdp_lb#7: redirect to eth2: ENETDOWN."""
    to = f" to {row['to']}" if row["to"] != DASH else ""
    error = f": {row['error']}" if row["error"] != DASH else " failed"
    return f"{row['program'] or 'an XDP program'}: {row['answer']}{to}{error}"


def _apart(times: Sequence[float]) -> float:
    return max(times, default=0) - min(times, default=0)
