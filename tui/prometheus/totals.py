"""Counters for export, which only grow, for a bounded number of rows.

Rows with the same labels are one. The busiest since the last reading have a place of their own;
all others are counted together, in `rests`: one, or one for each class. Nothing is lost and no
counter goes back:

- A row counts for itself from when it gets a place; what it counted before is in the rest.
- It keeps its place until another is busier, or until it has been gone for STAY seconds. All that
  it counted is then added to the rest, so that the sum over all is always what was counted. If it
  comes back, it begins at zero, as after a restart.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from itertools import repeat
from operator import add
from typing import TypeVar

from probes.analysis.moved import bases
from probes.model import Column, Hook, Key, Kind, Row, Sample, TargetKind, Value, same_totals
from probes.units import Unit, printable
from tui.prometheus.crowd import Busy, Crowd, GroupedReading, Labels
from tui.prometheus.increments import Grown, Increments

STAY = 300.0
"""Seconds that the place of a row that has gone is kept: as long as Prometheus looks back."""
MAX_LEFT_OUT = 8192
"""Rows without a place whose last counts are remembered."""
HALF_LIFE = 60.0
"""Half-life of a row's activity, in seconds, when rows compete for places."""
OTHER = "other"
"""The value of every label of the rest."""
_LEVELS = frozenset({Unit.COUNT, Unit.PACKETS, Unit.BYTES, Unit.NS, Unit.US, Unit.PERCENT})
_TIMES = frozenset({Unit.NS, Unit.US, Unit.PERCENT})

T = TypeVar("T")


class Shape:
    """A hook's columns by role: labels, counters that grow, and levels.

    labels: names; the target's kind comes first, if the hook has targets; those that follow from
    the others (derived: a drop's class) are last. sums: what grows. levels: numbers as they are
    now. words: other facts about a row, for people.
    """

    def __init__(self, hook: Hook) -> None:
        self.hook = hook
        self.target = str(hook.target) if hook.target is not TargetKind.NONE else ""
        places = [(i, c) for i, c in enumerate(hook.stored) if c.name != self.target]
        self.named = tuple(i for i, c in places if _names(c))
        self._names = hook.places.names
        self.derived = tuple([c for c in hook.columns if c.derive is not None and c.label])
        self.labels = (
            *(self.target,) * bool(self.target),
            *(hook.stored[i].name for i in self.named),
            *(column.name for column in self.derived),
        )
        self.sums = tuple((i, c) for i, c in places if c.kind in (Kind.COUNTER, Kind.HISTOGRAM))
        self.levels = tuple((i, c) for i, c in places if _is_level(c))
        self.words = tuple((i, c) for i, c in places if _is_word(c))

    def of(self, target: str | None, reading: Increments) -> Iterable[Labels]:
        """Yield the labels of each row. None becomes "", which Prometheus treats as no label."""
        number = len(reading.rows)
        columns: list[Iterable[str]] = [map(_text, reading.column(i)) for i in self.named]
        if self.target:
            columns.insert(0, repeat(printable(target or ""), number))
        named = _rows_of(columns, number)
        if not self.derived:
            return named
        rows = reading.rows.values()
        return (own + self._told(row) for own, row in zip(named, rows, strict=True))

    def labels_of(self, target: str | None, reading: Increments, row: int) -> Labels:
        """Return the labels of one row."""
        own = tuple([_text(reading.value(i, row)) for i in self.named])
        whose = (printable(target or ""),) if self.target else ()
        return (*whose, *own, *self.told_of(reading, row))

    def told_of(self, reading: Increments, row: int) -> Labels:
        """Return those labels of one row that follow from the others."""
        return self._told(reading.row(row)) if self.derived else ()

    def told(self, labels: Labels) -> Labels:
        """Return those labels that follow from the others: the row's class."""
        return labels[len(self.labels) - len(self.derived) :]

    def _told(self, row: Row) -> Labels:
        """Compute the labels that follow from the others."""
        values = dict(zip(self._names, row, strict=True))
        return tuple([_text(c.derive(values)) for c in self.derived if c.derive is not None])

    def said(self, reading: Increments, place: int) -> Labels:
        return tuple([_text(reading.value(i, place)) for i, _ in self.words])


def _names(column: Column) -> bool:
    if column.label is None:
        return column.kind is Kind.KEY and not column.hidden
    return column.label


def _is_level(column: Column) -> bool:
    return column.kind is Kind.LEVEL and column.unit in _LEVELS and not column.hidden


def _is_word(column: Column) -> bool:
    told = column.kind is Kind.LEVEL and column.unit in (Unit.TEXT, Unit.NUMBER)
    return told and column.label is None and not column.hidden


def _text(value: Value) -> str:
    return "" if value is None else printable(str(value))


@dataclass(slots=True)
class ExportedRow:
    """The exported values of one row.

    grown: by `Shape.sums`. levels, words: by the shape's; empty while the row is absent. busy: what
    it counted since the last reading, and recently. seen: when it was last present.
    """

    grown: list[Grown]
    busy: Busy = (0.0, 0.0)
    seen: float = 0.0
    levels: list[Value] = field(default_factory=list)
    words: Labels = ()


@dataclass(slots=True)
class _Seen:
    """The rows of one reading that have the same labels. first: the place of the first."""

    first: int
    added: Sequence[Grown]
    levels: Sequence[Value]


class Totals:
    """One hook on one target. most: rows that get a place of their own."""

    def __init__(self, shape: Shape, most: int) -> None:
        self._shape, self._most = shape, most
        self._before: Sample | None = None
        self._waiting: dict[Labels, Busy] = {}
        self._crowd: Crowd | None = None
        self._left_out: dict[Key, Row] = {}
        self._perhaps_over: set[Key] = set()
        """Of those, what rows of others seem to have taken over."""
        self.rows: dict[Labels, ExportedRow] = {}
        self.rests: dict[Labels, ExportedRow] = {}
        if not shape.derived:
            self.rest_of(())
        self.runs, self.run_ns, self.lost, self.unlogged = 0, 0, 0, 0

    @property
    def full(self) -> bool:
        """Whether there may be a rest: it is exported from zero on, so that its rate is right."""
        counted = (g for place in self.rests.values() for g in place.grown)
        return len(self.rows) >= self._most or any(g is not None for g in counted)

    @property
    def rest(self) -> ExportedRow:
        """The rest of a hook whose labels are all its keys; it has only one."""
        return self.rest_of(())

    def rest_of(self, labels: Labels) -> ExportedRow:
        """Return where a row without a place is counted: with those of the same class."""
        return self._rest_of_class(self._shape.told(labels))

    def _rest_of_class(self, told: Labels) -> ExportedRow:
        if told not in self.rests:
            self.rests[told] = ExportedRow([None] * len(self._shape.sums))
        return self.rests[told]

    def rest_labels(self, told: Labels) -> Labels:
        return (OTHER,) * (len(self._shape.labels) - len(told)) + told

    def take(self, sample: Sample) -> None:
        """Add the next reading."""
        before, self._before = self._before, sample
        if before is not None and sample.time <= before.time:
            return  # it could not be read: this is the sample before, once more
        self._take_cost(before, sample)
        reading = self._reading(before, sample)
        elapsed = sample.time - before.time if before is not None else 0.0
        shape = self._shape
        levels = [(i, c.unit in _TIMES) for i, c in shape.levels]
        many = GroupedReading.of(shape.named, reading, [i for i, _ in shape.sums], levels)
        if many is None:
            self._take_rows(sample, reading, elapsed)
        else:
            self._take_many(sample, reading, many, elapsed)
        if before is None:  # what was counted since the boot is not what was done lately
            self._waiting = dict.fromkeys(self._waiting, (0.0, 0.0))
            for place in self.rows.values():
                place.busy = 0.0, 0.0
        if self._crowd is not None:
            self._crowd.end(first=before is None)

    def _take_rows(self, sample: Sample, reading: Increments, elapsed: float) -> None:
        if self._crowd is not None:
            self._waiting, self._crowd = self._crowd.waiting(), None
        seen = self._seen(sample.status.id.target, reading)
        self._note_busy(seen, elapsed)
        self._give_up_gone(seen, sample.time)
        self._seat(sample.time)
        self._clear()
        for labels, what in seen.items():
            own = self.rows.get(labels)
            place = self.rest_of(labels) if own is None else own
            place.grown = list(map(_sum, place.grown, what.added))
            place.levels = self._merged(place.levels, what.levels)
            place.seen = sample.time
            if own is not None:
                place.words = self._shape.said(reading, what.first)

    def _clear(self) -> None:
        """Forget what is said of rows as they are now."""
        for place in (*self.rows.values(), *self.rests.values()):
            place.levels, place.words = [], ()

    # -- many rows -----------------------------------------------------------------------------

    def _take_many(
        self, sample: Sample, reading: Increments, many: GroupedReading, elapsed: float
    ) -> None:
        fading = 0.5 ** (elapsed / HALF_LIFE)
        self._fade(fading)
        crowd = self._crowd
        if crowd is None:
            crowd = self._crowd = Crowd(self._shape, sample.status.id.target)
            crowd.read(reading, many, fading, self.rows)
            crowd.adopt(self._waiting, fading)
            self._waiting = {}
        else:
            crowd.read(reading, many, fading, self.rows)
        for labels, _, did in crowd.present():
            place = self.rows[labels]
            place.busy = place.busy[0] + did, place.busy[1] + did
        self._give_up_gone({labels for labels, _, _ in crowd.present()}, sample.time)
        self._seat_many(crowd, sample.time)
        self._clear()
        self._count(crowd, many, sample.time)
        for labels, row, _ in crowd.present():
            self.rows[labels].words = self._shape.said(reading, row)

    def _seat_many(self, crowd: Crowd, now: float) -> None:
        weakest, left = self._weakest(), self._most
        for group, labels, busy in crowd.candidates():
            if labels == self.rest_labels(self._shape.told(labels)):
                continue  # somebody may be called so
            if labels not in self.rows:
                if not left or not self._room(busy[0], weakest):
                    break
                self.rows[labels] = ExportedRow([None] * len(self._shape.sums), busy, now)
            crowd.seat(group, labels)
            left -= 1
        crowd.settle(self.rows)

    def _count(self, crowd: Crowd, many: GroupedReading, now: float) -> None:
        slots, classes = crowd.slots(self.rows)
        places, behind = list(self.rows.values()), len(self.rows)
        rests = {n: self._rest_of_class(crowd.classes[n]) for n in classes}
        for slot, added, levels in many.by_slot(slots):
            place = places[slot] if slot < behind else rests[slot - behind]
            place.grown = list(map(_sum, place.grown, added))
            place.levels = list(levels)
            place.seen = now

    # -- row by row ----------------------------------------------------------------------------

    # -- what was added ------------------------------------------------------------------------

    def _reading(self, before: Sample | None, sample: Sample) -> Increments:
        """Return the sample beside what it is compared with."""
        anew = before is not None and not same_totals(before.epoch, sample.epoch)
        known: Mapping[Key, Row] = {} if before is None or anew else before.rows
        if anew:
            self._left_out.clear()
        instead = self._compared(known, sample)
        if anew and not sample.from_zero:
            # What was counted before this program looked on is no news, but at the very beginning.
            known, instead = sample.rows, {}
        return Increments(sample.rows, known, instead)

    def _seen(self, target: str | None, reading: Increments) -> dict[Labels, _Seen]:
        shape, number = self._shape, len(reading.rows)
        more = _rows_of([reading.added(i) for i, _ in shape.sums], number)
        gauges = _rows_of([reading.column(i) for i, _ in shape.levels], number)
        seen: dict[Labels, _Seen] = {}
        rows = zip(shape.of(target, reading), more, gauges, strict=True)
        for place, (labels, added, levels) in enumerate(rows):
            same = seen.get(labels)
            if same is None:
                seen[labels] = _Seen(place, added, levels)
            else:
                same.added = list(map(_sum, same.added, added))
                same.levels = self._merged(same.levels, levels)
        return seen

    def _compared(self, known: Mapping[Key, Row], sample: Sample) -> Mapping[Key, Row]:
        """Return what rows are compared with that are not compared with the one of their key.

        It was left out of some samples to save memory, or it took over from others' rows.
        """
        hidden = bool(sample.forgotten)
        if not hidden and not self._left_out:
            return bases(self._shape.hook, known, sample.rows)[0]
        back = {k: self._left_out.pop(k) for k in self._left_out.keys() & sample.rows.keys()}
        left = {k: row for k, row in self._left_out.items() if k not in self._perhaps_over}
        taken, over = bases(self._shape.hook, {**left, **known}, sample.rows, hidden=hidden)
        self._leave_out(known, sample, over)
        return {**back, **taken}

    def _leave_out(self, known: Mapping[Key, Row], sample: Sample, over: Iterable[Key]) -> None:
        """Keep what is hidden now, and what may have been evicted, in case it comes back."""
        gone = known.keys() - sample.rows.keys()
        self._left_out |= {key: known[key] for key in gone}
        if not sample.forgotten:
            self._left_out.clear()
        while len(self._left_out) > MAX_LEFT_OUT:
            del self._left_out[next(iter(self._left_out))]
        self._perhaps_over = (self._perhaps_over | set(over)) & self._left_out.keys()

    def _merged(self, some: Sequence[Value], more: Sequence[Value]) -> list[Value]:
        """Merge the levels of two rows that are exported as one: of times, keep the greater."""
        if not some:
            return list(more)
        return [
            _greater(a, b) if c.unit in _TIMES else _both(a, b)
            for a, b, (_, c) in zip(some, more, self._shape.levels, strict=True)
        ]

    def _take_cost(self, before: Sample | None, sample: Sample) -> None:
        if before is not None and not same_totals(before.epoch, sample.epoch):
            before = None
        self.lost += _grown(sample.lost, before.lost if before else 0)
        self.unlogged += _grown(sample.unlogged, before.unlogged if before else 0)
        if before is not None and before.epoch != sample.epoch:
            before = None  # other programs, whose runs begin at zero
        if sample.cost is not None:
            was = before.cost if before else None
            self.runs += _grown(sample.cost.runs, was.runs if was else 0)
            self.run_ns += _grown(sample.cost.run_ns, was.run_ns if was else 0)

    # -- who has a place -----------------------------------------------------------------------

    def _note_busy(self, seen: Mapping[Labels, _Seen], elapsed: float) -> None:
        fading = 0.5 ** (elapsed / HALF_LIFE)
        self._fade(fading)
        waiting = {}
        for labels, what in seen.items():
            did = float(sum(a for a in what.added if isinstance(a, int | float)))
            if (place_ := self.rows.get(labels)) is not None:
                place_.busy = did, place_.busy[1] + did
            elif labels != self.rest_labels(self._shape.told(labels)):  # somebody may be called so
                waiting[labels] = did, self._waiting.get(labels, (0.0, 0.0))[1] * fading + did
        self._waiting = waiting

    def _fade(self, fading: float) -> None:
        for place in self.rows.values():
            place.busy = 0.0, place.busy[1] * fading

    def _give_up_gone(self, seen: Container[Labels], now: float) -> None:
        for labels in [b for b, p in self.rows.items() if b not in seen and now - p.seen >= STAY]:
            self._give_up(labels)

    def _weakest(self) -> Iterator[Labels]:
        return iter(sorted(self.rows, key=lambda labels: self.rows[labels].busy))

    def _seat(self, now: float) -> None:
        weakest = self._weakest()
        for labels in nlargest(self._most, self._waiting, key=self._waiting.__getitem__):
            if not self._room(self._waiting[labels][0], weakest):
                break
            busy = self._waiting.pop(labels)
            self.rows[labels] = ExportedRow([None] * len(self._shape.sums), busy, now)

    def _room(self, did: float, weakest: Iterator[Labels]) -> bool:
        """Return whether there is a place, if need be that of a row that was less busy.

        weakest: those that had a place before, the least busy first.
        """
        if len(self.rows) < self._most:
            return True
        least = next(weakest, None)
        if least is None or self.rows[least].busy[0] >= did:
            return False
        self._give_up(least)
        return True

    def _give_up(self, labels: Labels) -> None:
        """Move all that the row counted to the rest."""
        rest = self.rest_of(labels)
        rest.grown = list(map(_sum, rest.grown, self.rows.pop(labels).grown))


def _sum(some: Grown, more: Grown) -> Grown:
    if some is None or more is None:
        return more if some is None else some
    if isinstance(some, tuple) or isinstance(more, tuple):
        assert isinstance(some, tuple)
        assert isinstance(more, tuple)
        return tuple(map(add, some, more))
    return some + more


def _rows_of(columns: Sequence[Iterable[T]], number: int) -> Iterable[tuple[T, ...]]:
    """Return so many rows of these columns."""
    return zip(*columns, strict=True) if columns else repeat((), number)


def _grown(now: int, was: int) -> int:
    return now - was if was <= now else now


def _numbers(*values: Value) -> Iterable[int | float]:
    return (v for v in values if isinstance(v, int | float))


def _both(a: Value, b: Value) -> Value:
    numbers = tuple(_numbers(a, b))
    return sum(numbers) if numbers else None


def _greater(a: Value, b: Value) -> Value:
    return max(_numbers(a, b), default=None)
