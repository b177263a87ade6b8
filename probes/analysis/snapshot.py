"""Snapshots for display: a `Snapshot` is made from two samples, here and nowhere else.

So live, replayed and remote numbers come from one calculation.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from operator import sub

from probes.analysis.moved import bases, unknown
from probes.model import Hook, HookId, Key, Row, Sample, Status, Value, same_totals

Derive = Callable[[Mapping[str, Value]], Value]
"""The function of a derived column, called with what the window added."""


class SnapshotRow:
    """A row for display: values by column name, and each counter's rate per second.

    derived: returns the derived values; called when one is needed, as most rows are not shown.
    """

    __slots__ = ("_derived", "_values", "key", "rates")

    def __init__(
        self,
        key: Key,
        values: Mapping[str, Value],
        rates: Mapping[str, float | None],
        derived: Callable[[], Mapping[str, Value]] | None = None,
    ) -> None:
        self.key, self.rates = key, rates
        self._values, self._derived = values, derived

    @property
    def stored(self) -> Mapping[str, Value]:
        """The values that were read, without the derived ones."""
        return self._values

    @property
    def values(self) -> Mapping[str, Value]:
        """All values, by column."""
        if self._derived is not None:
            self._values = {**self._values, **self._derived()}
            self._derived = None
        return self._values

    def __getitem__(self, name: str) -> Value:
        known = self._values
        return known[name] if name in known else self.values[name]

    def number(self, name: str) -> float:
        """Return a column as a number for sums and sorting; an unknown value counts as 0."""
        known = self._values
        value = known[name] if name in known else self.values.get(name)
        return value if isinstance(value, int | float) else 0

    def rate(self, name: str) -> float:
        """Return a counter's rate as a number for sums and sorting; an unknown rate counts as 0."""
        return self.rates.get(name) or 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SnapshotRow):
            return NotImplemented
        return (self.key, self.values, self.rates) == (other.key, other.values, other.rates)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"SnapshotRow({self.key!r}, {self.values!r}, {self.rates!r})"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A hook at one moment, ready to be shown.

    interval: seconds between the two samples, None for the first. runs_per_s, ns_per_run,
    cpu_percent: the hook's own cost in the interval, None where it is not known.
    """

    hook: Hook
    sample: Sample
    interval: float | None
    rows: tuple[SnapshotRow, ...]
    runs_per_s: float | None = None
    ns_per_run: float | None = None
    cpu_percent: float | None = None

    @property
    def status(self) -> Status:
        return self.sample.status

    @property
    def id(self) -> HookId:
        return self.sample.status.id

    @classmethod
    def between(
        cls, hook: Hook, previous: Sample | None, sample: Sample, window: Sample | None = None
    ) -> Snapshot:
        """Return the snapshot of a sample. The only place where rates are calculated.

        previous: the sample before (rates are per second since then). window: an older sample;
        derived columns (mean, p99) look back to it, or to the beginning where it is None. The rate
        is None for a counter that went back, for a new row whose start is not known to be zero, and
        for everything across a change of epoch, unless the same rung was attached again and its
        totals continue.
        """
        if previous is not None and not _comparable(previous, sample):
            previous = None
        if window is not None and not same_totals(window.epoch, sample.epoch):
            window = None
        elapsed = sample.time - previous.time if previous is not None else 0.0
        interval = elapsed if elapsed > 0 else None
        names, _, counters, sums, derived = hook.places
        from_zero = sample.from_zero and not (previous is not None and previous.forgotten)
        old: Mapping[Key, Row] = {} if previous is None else previous.rows
        if interval is not None and old:
            old = _with_taken(hook, old, sample, hidden=bool(previous and previous.forgotten))
        since: Mapping[Key, Row] = {}
        if window is not None and derived:
            since = _with_taken(hook, window.rows, sample)
        rows = []
        for key, row in sample.rows.items():
            before = old.get(key)
            values: dict[str, Value] = dict(zip(names, row, strict=True))
            rates = _rates(counters, row, before, interval, from_zero)
            later = None
            if derived:
                base = since.get(key)
                later = partial(_derive, derived, values, row, base, sums)
            rows.append(SnapshotRow(key, values, rates, later))
        return cls(hook, sample, interval, tuple(rows), *_cost(previous, sample, interval))


def _with_taken(
    hook: Hook, before: Mapping[Key, Row], sample: Sample, *, hidden: bool = False
) -> Mapping[Key, Row]:
    """Return earlier rows as those of a sample are compared with them.

    hidden: whether there were more, which the limit on memory left out.
    """
    if hidden:
        taken = unknown(hook, before, sample.rows)
    else:
        taken, _ = bases(hook, before, sample.rows, hidden=bool(sample.forgotten))
    return {**before, **taken} if taken else before


def _comparable(previous: Sample, sample: Sample) -> bool:
    """Return whether everything between two samples was counted in one way, and without a gap."""
    if previous.epoch == sample.epoch:
        return True
    same = previous.status.rung == sample.status.rung
    return same and same_totals(previous.epoch, sample.epoch)


def _rates(
    counters: Iterable[tuple[int, str]],
    row: Row,
    before: Row | None,
    interval: float | None,
    from_zero: bool,
) -> dict[str, float | None]:
    """Return each counter's rate, None where it cannot be known.

    Called for each row of each tick: no calls in it.
    """
    rates: dict[str, float | None] = {}
    for i, name in counters:
        now = row[i]
        was = before[i] if before is not None else None
        if was is None and from_zero:
            was = 0
        if interval is None or was is None or now is None or now < was:  # type: ignore[operator]
            rates[name] = None  # it went back, or is not known
        else:
            rates[name] = (now - was) / interval  # type: ignore[operator]  # counters are numbers
    return rates


def _derive(
    derived: Iterable[tuple[str, Derive]],
    values: Mapping[str, Value],
    row: Row,
    base: Row | None,
    sums: Iterable[tuple[int, str, bool]],
) -> Mapping[str, Value]:
    added = values if base is None else _added(values, row, base, sums)
    return {name: _derived(derive, added) for name, derive in derived}


def _derived(derive: Derive, added: Mapping[str, Value]) -> Value:
    """Return a derived value, None where there can be none.

    It is called while a screen is painted.
    """
    try:
        return derive(added)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None


def _added(
    values: Mapping[str, Value], row: Row, base: Row, sums: Iterable[tuple[int, str, bool]]
) -> Mapping[str, Value]:
    """Return what the window added.

    A counter that went back started again, so all of it was added.
    """
    added = dict(values)
    for i, name, histogram in sums:
        now, then = row[i], base[i]
        if histogram and isinstance(now, tuple) and isinstance(then, tuple):
            difference = tuple(map(sub, now, then))
            added[name] = now if min(difference, default=0) < 0 else difference
        elif isinstance(now, int | float) and isinstance(then, int | float) and now >= then:
            added[name] = now - then
    return added


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

    def snapshot(self, sample: Sample) -> Snapshot:
        """Return the snapshot of a sample that is newer than those before."""
        kept = self._upto(sample)
        previous = kept[-1] if kept else None
        # The window reaches back to the beginning until it is full.
        full = bool(kept) and kept[0].time <= sample.time - self._window
        self._keep(kept, sample)
        return Snapshot.between(self._hook, previous, sample, kept[0] if full else None)

    def snapshots(self, samples: Iterable[Sample]) -> tuple[Snapshot, ...]:
        """Return the snapshots of one reading: a target that is not in it is forgotten."""
        return tuple([self.snapshot(s) for s in self._those(samples)])

    def feed(self, samples: Iterable[Sample]) -> None:
        """Take in a reading that is not shown; later snapshots are the same as if it had been."""
        for sample in self._those(samples):
            self._keep(self._upto(sample), sample)

    def forget(self, id: HookId) -> None:
        self._let_go(self._samples.pop(id, ()))

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
        kept = self._samples.setdefault(sample.status.id, deque())
        if kept and not same_totals(kept[-1].epoch, sample.epoch):
            self._let_go(kept)
            kept.clear()
        while len(kept) > 1 and kept[1].time <= sample.time - self._window:
            self._let_go((kept.popleft(),))
        return kept
