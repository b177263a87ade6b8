"""Snapshots for display: a `Snapshot` is made from two samples, here and nowhere else.

So live, replayed and remote numbers come from one calculation.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from probes.analysis.many_rows import Earlier, ManyRows
from probes.analysis.moved import bases, may_take_over, unknown
from probes.analysis.snapshot_row import SnapshotRow, later, rates_of
from probes.arrays import FEW
from probes.columns.row_table import RowTable
from probes.model import Hook, HookId, Key, Row, Sample, Status, Value, same_totals

_WORTH = 8
"""Rows from which on it pays to look for those in which nothing happens."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A hook at one moment, ready to be shown.

    interval: seconds between the two samples, None for the first. runs_per_s, ns_per_run,
    cpu_percent: the hook's own cost in the interval, None where it is not known. window: the sample
    that derived columns look back to, None: to the beginning.
    """

    hook: Hook
    sample: Sample
    interval: float | None
    rows: Sequence[SnapshotRow]
    runs_per_s: float | None = None
    ns_per_run: float | None = None
    cpu_percent: float | None = None
    window: Sample | None = field(default=None, repr=False, compare=False)

    @property
    def status(self) -> Status:
        return self.sample.status

    @property
    def id(self) -> HookId:
        return self.sample.status.id

    @property
    def keys(self) -> Sequence[Key]:
        """The key of each row."""
        rows = self.rows
        return rows.keys if type(rows) is ManyRows else [row.key for row in rows]

    def values(self, column: str) -> Sequence[Value]:
        """Return a stored column's value in each row."""
        rows = self.rows
        if type(rows) is ManyRows:
            return rows.cells(column).values()
        return [row.stored[column] for row in rows]

    def per_s(self, column: str) -> Sequence[float | None]:
        """Return a counter's rate in each row."""
        rows = self.rows
        if type(rows) is ManyRows:
            return rows.rates(column).listed()
        return [row.rates[column] for row in rows]

    def rates(self, column: str) -> Mapping[Key, float | None]:
        """Return a counter's rates by key."""
        return dict(zip(self.keys, self.per_s(column), strict=True))

    def rate_of_all(self, column: str) -> float:
        """Return a counter's rate in all rows together; an unknown rate counts as 0."""
        return sum([rate or 0.0 for rate in self.per_s(column)])

    def numbers(self, column: str) -> Mapping[Key, float | None]:
        """Return a column's number in each row; None where it has none."""
        rows, found = self.rows, None
        if isinstance(rows, ManyRows) and column not in self.hook.places.names:
            derived = rows.derived(column)
            if derived is not None:
                return dict(zip(self.keys, derived.listed(), strict=True))
            found = [row[column] for row in rows]
        values = self.values(column) if found is None else found
        numbers = [v if isinstance(v, int | float) else None for v in values]
        return dict(zip(self.keys, numbers, strict=True))

    @classmethod
    def between(
        cls,
        hook: Hook,
        previous: Sample | None,
        sample: Sample,
        window: Sample | None = None,
        before: Snapshot | None = None,
    ) -> Snapshot:
        """Return the snapshot of a sample. The only place where rates are calculated.

        previous: the sample before (rates are per second since then). window: an older sample;
        derived columns (mean, p99) look back to it, or to the beginning where it is None. The rate
        is None for a counter that went back, for a new row whose start is not known to be zero, and
        for everything across a change of epoch, unless the same rung was attached again and its
        totals continue. before: the snapshot of `previous`, where that was made: its rows are kept
        as long as nothing happens in them.
        """
        if previous is not None and not _comparable(previous, sample):
            previous = None
        if window is not None and not same_totals(window.epoch, sample.epoch):
            window = None
        elapsed = sample.time - previous.time if previous is not None else 0.0
        interval = elapsed if elapsed > 0 else None
        from_zero = sample.from_zero and not (previous is not None and previous.forgotten)
        compared = _Compared(hook, previous if interval is not None else None, window, sample)
        known = before if before is not None and before.sample is previous else None
        rows = (
            compared.as_columns(interval, from_zero=from_zero)
            if len(sample.rows) > FEW and isinstance(sample.rows, RowTable)
            else compared.one_by_one(interval, compared.idle(known), from_zero=from_zero)
        )
        cost = _cost(previous, sample, interval)
        return cls(hook, sample, interval, rows, *cost, window=window)


class _Compared:
    """A sample and what it is compared with. window: what derived columns look back to, if any."""

    def __init__(
        self, hook: Hook, previous: Sample | None, window: Sample | None, sample: Sample
    ) -> None:
        self._hook, self._rows, self._window = hook, sample.rows, window
        self._old: Mapping[Key, Row] = {} if previous is None else previous.rows
        self._old_taken: Mapping[Key, Row] = {}
        if self._old:
            hidden = bool(previous and previous.forgotten)
            self._old_taken = _taken(hook, self._old, sample, hidden=hidden)
        self._since: Mapping[Key, Row] = {}
        self._since_taken: Mapping[Key, Row] = {}
        if window is not None and hook.places.derived:
            self._since = window.rows
            self._since_taken = _taken(hook, window.rows, sample)

    def as_columns(self, interval: float | None, *, from_zero: bool) -> Sequence[SnapshotRow]:
        """Return the rows of a table, none of which is made yet."""
        assert isinstance(self._rows, RowTable)
        return ManyRows(
            self._hook,
            self._rows,
            Earlier(_as_table(self._hook, self._old), self._old_taken),
            Earlier(_as_table(self._hook, self._since), self._since_taken),
            interval,
            from_zero=from_zero,
        )

    def idle(self, before: Snapshot | None) -> Mapping[Key, SnapshotRow]:
        """Return the rows that stood still, and from which the window takes nothing now."""
        if before is None or isinstance(before.rows, ManyRows) or len(before.rows) < _WORTH:
            return {}
        if self._old_taken or self._since_taken:
            return {}
        found = {row.key: row for row in before.rows if row.still}
        then, since = before.window, self._since
        if not self._hook.places.derived:
            return found
        base = {} if then is None else then.rows
        if isinstance(base, RowTable) or isinstance(since, RowTable):
            return {}  # looking at one of its rows costs more than this would save
        return {
            key: row
            for key, row in found.items()
            if since.get(key) == base.get(key) and not may_take_over(key)
        }

    def one_by_one(
        self, interval: float | None, idle: Mapping[Key, SnapshotRow], *, from_zero: bool
    ) -> Sequence[SnapshotRow]:
        """Return the rows. idle: the rows before that stay as they are if nothing was counted."""
        hook, (names, _, counters, *_) = self._hook, self._hook.places
        old = {**self._old, **self._old_taken} if self._old_taken else self._old
        since = {**self._since, **self._since_taken} if self._since_taken else self._since
        rows = []
        for key, row in self._rows.items():
            was = old.get(key)
            still = was == row
            if still and key in idle:
                rows.append(idle[key])
                continue
            values: dict[str, Value] = dict(zip(names, row, strict=True))
            rates = rates_of(counters, row, was, interval, from_zero)
            derive = later(hook, values, since.get(key))
            rows.append(SnapshotRow(key, values, rates, derive, still=still))
        return tuple(rows)


def _as_table(hook: Hook, rows: Mapping[Key, Row]) -> RowTable | None:
    if isinstance(rows, RowTable) or not rows:
        return rows if isinstance(rows, RowTable) else None
    return RowTable.of_rows(rows.values(), hook.places.keys)


def _taken(
    hook: Hook, before: Mapping[Key, Row], sample: Sample, *, hidden: bool = False
) -> Mapping[Key, Row]:
    """Return what rows of a sample are compared with that took over from earlier ones.

    hidden: whether there were more, which the limit on memory left out.
    """
    if hidden:
        return unknown(hook, before, sample.rows)
    return bases(hook, before, sample.rows, hidden=bool(sample.forgotten))[0]


def _comparable(previous: Sample, sample: Sample) -> bool:
    """Return whether everything between two samples was counted in one way, and without a gap."""
    if previous.epoch == sample.epoch:
        return True
    same = previous.status.rung == sample.status.rung
    return same and same_totals(previous.epoch, sample.epoch)


def _cost(
    previous: Sample | None, sample: Sample, interval: float | None
) -> tuple[float | None, float | None, float | None]:
    if interval is None or previous is None or previous.cost is None or sample.cost is None:
        return None, None, None
    if previous.epoch != sample.epoch:
        return None, None, None  # other programs, whose runs begin at zero
    runs = sample.cost.runs - previous.cost.runs
    run_ns = sample.cost.run_ns - previous.cost.run_ns
    if runs < 0 or run_ns < 0:
        return None, None, None
    return runs / interval, run_ns / runs if runs else None, run_ns / interval / 1e9 * 100


class WindowRoom:
    """The limit that several trails share: rows of all their samples."""

    MOST_ROWS = 1 << 18

    def __init__(self) -> None:
        self.rows = 0


class Trail:
    """Samples of the last WINDOW seconds of each hook and target, and snapshots made of them.

    Each consumer of a source keeps one, so that rates and derived columns are the same for every
    source.
    """

    WINDOW = 10.0
    """Seconds that mean and p99 look back; long enough to hold rare events still to be read."""
    MOST_SAMPLES = 512
    """Samples kept of one hook and target, whatever its clock says.

    With more, or where there is no room, every other sample between the oldest and the newest goes.
    """

    def __init__(self, hook: Hook, window: float = WINDOW, room: WindowRoom | None = None) -> None:
        self._hook = hook
        self._window = window
        self._room = room or WindowRoom()
        self._samples: dict[HookId, deque[Sample]] = {}
        self._latest: dict[HookId, Snapshot] = {}

    def snapshot(self, sample: Sample) -> Snapshot:
        """Return the snapshot of a sample that is newer than those before."""
        kept = self._upto(sample)
        previous = kept[-1] if kept else None
        # The window reaches back to the beginning until it is full.
        full = bool(kept) and kept[0].time <= sample.time - self._window
        self._keep(kept, sample)
        window, before = kept[0] if full else None, self._latest.get(sample.status.id)
        made = Snapshot.between(self._hook, previous, sample, window, before)
        self._latest[sample.status.id] = made
        return made

    def snapshots(self, samples: Iterable[Sample]) -> tuple[Snapshot, ...]:
        """Return the snapshots of one reading: a target that is not in it is forgotten."""
        return tuple([self.snapshot(s) for s in self._those(samples)])

    def feed(self, samples: Iterable[Sample]) -> None:
        """Take in a reading that is not shown; later snapshots are the same as if it had been."""
        for sample in self._those(samples):
            self._keep(self._upto(sample), sample)

    def forget(self, id: HookId) -> None:
        self._let_go(self._samples.pop(id, ()))
        self._latest.pop(id, None)

    def _let_go(self, gone: Iterable[Sample]) -> None:
        self._room.rows -= sum([len(sample.rows) for sample in gone])

    def _keep(self, kept: deque[Sample], sample: Sample) -> None:
        kept.append(sample)
        self._room.rows += len(sample.rows)
        if len(kept) > self.MOST_SAMPLES:
            self._thin_out(kept)
        while self._room.rows > WindowRoom.MOST_ROWS and len(kept) > 3:
            self._thin_out(kept)

    def _thin_out(self, kept: deque[Sample]) -> None:
        first, *between, last = kept
        self._let_go(between[::2])
        kept.clear()
        kept.extend((first, *between[1::2], last))

    def _those(self, samples: Iterable[Sample]) -> Iterable[Sample]:
        there = {s.status.id: s for s in samples}
        for gone in self._samples.keys() - there.keys():
            self.forget(gone)
        return there.values()

    def _upto(self, sample: Sample) -> deque[Sample]:
        """Return the kept samples up to a given one."""
        kept = self._samples.get(sample.status.id)
        if kept is None:
            kept = self._samples[sample.status.id] = deque()
        if kept and not same_totals(kept[-1].epoch, sample.epoch):
            self._let_go(kept)
            kept.clear()
        while len(kept) > 1 and kept[1].time <= sample.time - self._window:
            self._let_go((kept.popleft(),))
        return kept
