"""Decode frames. Input is untrusted: anything an `Encoder` would not write raises Malformed.

No frame makes more than a moment can have, and no text leaves here that is not printable.

Frames hold changes, so what was read is kept as it was written; what is returned is made printable.
Two rows stay two even if their names differ only in invisible characters: their keys spell these
out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from ipaddress import ip_network
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from probes.arrays import FEW
from probes.columns.cells import Cells, ObjectCells
from probes.columns.row_table import RowTable
from probes.drop_rule import DropRule, RuleError
from probes.model import Cost, Enforced, HookId, Key, Refusal, Row, Sample, State, Status, Value
from probes.recording.cell_reader import read_order, weight
from probes.recording.codec import MOST_CELLS, TOO_LARGE, Malformed, Reader, cells_of
from probes.recording.encoder import (
    COSTS,
    FORGOTTEN,
    FROM_ZERO,
    IN_ORDER,
    MEMORY,
    RESTATED,
    UNLOGGED,
    Clock,
    Layout,
    Tick,
    bits_of,
)
from probes.recording.read_tables import DecodedPart, read_tables
from probes.units import printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

Samples = tuple[Sample, ...]

MOST_ROWS = 1 << 16
MOST_HOOKS, MOST_SAMPLES, MOST_COLUMNS = 256, 1 << 14, 256
MOST_REFUSALS, MOST_RULES, MOST_LOG = 16, 1 << 13, 1 << 16
MOST_FLAGS = 1 << 7
MOST_MEMORY, MOST_SLOWED, MOST_COUNT = 1 << 50, 1 << 32, 1 << 80
LATEST = 1 << 36
"""Unix seconds that a moment may have (the year 4147)."""
SHORTEST, LONGEST = 1e-3, 1e7
"""Seconds that an interval may have."""
NAME, WORDS = 1 << 12, 1 << 14
"""Bytes of a name (a hook of the user's own, a path), and of a sentence or a compiler's output."""
_RULES_KNOWN = 1 << 9
"""Rules that are remembered from frame to frame."""
OBJECT, ROW = 24, 24
"""Cells that a status, a refusal or a sample costs, and a row beside its own."""


@dataclass
class Decoder:
    """A decoder of frames, one after the other.

    most: cells that a moment may have in all, whatever was written in its frame. layouts: of the
    hooks that it has met. spent: cells that the last frame made.
    """

    most: int = MOST_CELLS
    layouts: dict[str, Layout] = field(default_factory=dict)
    before: Tick | None = None
    spent: int = 0
    _held: int = 0
    _harmful: set[str] = field(default_factory=set)
    _given: dict[str, tuple[Samples, Samples]] = field(default_factory=dict)

    def decode(self, frame: bytes, *, key: bool) -> Tick:
        """Return the moment of a frame that follows the previous one or is a key.

        Raises Malformed.
        """
        before = None if key else self.before
        if before is None and not key:
            raise Malformed("it does not begin with a whole moment")
        data = Reader(frame, self.most)
        try:
            tick = self._read(data, before)
        finally:
            self.spent = data.spent
        self._hold(tick, key=key)
        self.before = tick
        return replace(tick, samples={h: self._printable(h, s) for h, s in tick.samples.items()})

    def _read(self, data: Reader, before: Tick | None) -> Tick:
        wall, interval = data.real(), data.real()
        if not (0 <= wall < LATEST and SHORTEST <= interval <= LONGEST):
            raise Malformed("a time is not valid")
        statuses = _read_statuses(data, before.statuses if before else None)
        rules = _read_rules(data)
        samples = self._read_hooks(data, before, wall)
        if not data.done():
            raise Malformed("it ends too late")
        return Tick(wall, interval, samples, statuses, rules)

    def _read_hooks(self, data: Reader, before: Tick | None, wall: float) -> dict[str, Samples]:
        samples = dict[str, Samples]()
        clocks = Clock(), Clock(bits_of(wall))
        for _ in range(data.size(MOST_HOOKS)):
            hook = data.text(NAME)
            known = before.samples.get(hook) if before else None
            how = data.size(2)
            if (known is None) != (how == 1):
                raise Malformed("a hook has no beginning")
            if how == 1:
                self.layouts[hook] = _read_layout(data)
            if known is not None and how == 0:
                samples[hook] = known
                continue
            data.harmful = False
            samples[hook] = _read_samples(data, hook, self.layouts[hook], known or (), clocks)
            if data.harmful:
                self._harmful.add(hook)
        return samples

    def _hold(self, tick: Tick, *, key: bool) -> None:
        """Raise Malformed for more than a moment can have: frame by frame it could grow for ever.

        Additions are summed up; only if that is too much, what exists is counted.
        """
        self._held = self.spent + (0 if key else self._held)
        if self._held > self.most:
            self._held = sum(_cells(s) for samples in tick.samples.values() for s in samples)
        if self._held > self.most:
            raise Malformed(TOO_LARGE)

    def _printable(self, hook: str, samples: Samples) -> Samples:
        """Return the same object for the same reading, as consumers of moments expect it."""
        if hook not in self._harmful:
            return samples
        known = self._given.get(hook)
        if known is None or known[0] is not samples:
            known = samples, tuple([_printable_sample(s) for s in samples])
            self._given[hook] = known
        return known[1]


def _cells(sample: Sample) -> int:
    if isinstance(sample.rows, RowTable):
        rows = ROW * len(sample.rows) + sum(map(weight, sample.rows.cells))
    else:
        rows = _cells_of_rows(sample.rows.values())
    return rows + _cells_of_rows(sample.log)


def _cells_of_rows(rows: Iterable[Row]) -> int:
    return sum(ROW + sum(map(cells_of, row)) for row in rows)


def _printable_sample(sample: Sample) -> Sample:
    log = tuple([tuple(map(_shown, entry)) for entry in sample.log])
    return replace(sample, rows=_printable_rows(sample.rows), log=log)


def _printable_rows(rows: Mapping[Key, Row]) -> Mapping[Key, Row]:
    if isinstance(rows, RowTable):
        cells = [_printable_cells(column) for column in rows.cells]
        if rows.has_keys_of(cells):
            return rows.with_cells(cells)
    return {tuple(map(_spelled, key)): tuple(map(_shown, row)) for key, row in rows.items()}


def _printable_cells(cells: Cells) -> Cells:
    """Return the same cells if all of them are printable."""
    if not isinstance(cells, ObjectCells):
        return cells
    values = cells.values()
    shown = {text: printable(text) for text in {v for v in values if isinstance(v, str)}}
    if all(text == found for text, found in shown.items()):
        return cells
    return ObjectCells.of([shown[v] if isinstance(v, str) else v for v in values])


def _shown(value: Value) -> Value:
    return printable(value) if isinstance(value, str) else value


def _spelled(value: Value) -> Value:
    """Return distinct texts for distinct texts, also where only unprintable characters differ."""
    if not isinstance(value, str) or (shown := printable(value)) == value:
        return value
    return f"{shown} {value.encode('unicode_escape').decode()}"


def _read_layout(data: Reader) -> Layout:
    names = tuple([printable(data.text(NAME)) for _ in range(data.size(MOST_COLUMNS))])
    log = tuple([printable(data.text(NAME)) for _ in range(data.size(MOST_COLUMNS))])
    keys = tuple([data.size(MOST_COLUMNS) for _ in range(data.size(MOST_COLUMNS))])
    if not names or any(place >= len(names) for place in keys):
        raise Malformed("a hook has no columns")
    return Layout(names, keys, log)


class Numbers(NamedTuple):
    """Numbers of a sample that are written beside its rows, as differences from an earlier one.

    place: the earlier one, from 1 on; 0: there is none. flags: as in `encoder`.
    """

    place: int
    flags: int
    time: int
    wall: int
    epoch: int
    lost: int
    runs: int
    run_ns: int
    rows: int
    log: int


class _Header(NamedTuple):
    """A sample without its rows.

    memory: of its maps. unlogged, forgotten: as in Sample. order: for each row its previous place,
    from 1 on; 0: it is new; None: as before.
    """

    numbers: Numbers
    status: Status
    memory: int | None
    unlogged: int
    forgotten: int
    time: float
    wall: float
    before: Sample | None
    order: Sequence[int] | NDArray[Any] | None

    @property
    def new(self) -> int:
        """How many rows are."""
        return list(self.order).count(0) if self.order is not None else 0


def _read_samples(
    data: Reader,
    hook: str,
    layout: Layout,
    known: Sequence[Sample],
    clocks: tuple[Clock, Clock],
) -> tuple[Sample, ...]:
    headers = _read_headers(data, hook, known, clocks)
    if (there := sum(h.numbers.rows for h in headers)) > MOST_ROWS:
        raise Malformed("a moment is larger than any can be")
    data.take(ROW * there)
    rows_of = _read_rows(data, headers, layout)
    log_width = len(layout.log)
    logged = sum(h.numbers.log for h in headers)
    if logged > (MOST_LOG if log_width else 0):
        raise Malformed("a log is larger than any can be")
    data.take(ROW * logged)
    log = data.rows(logged, log_width, None)
    samples, at = [], 0
    for h, rows in zip(headers, rows_of, strict=True):
        n, was = h.numbers, (h.before.cost if h.before else None) or Cost()
        costs = n.flags & COSTS
        cost = Cost(was.runs + n.runs, was.run_ns + n.run_ns, h.memory) if costs else None
        epoch, lost = (h.before.epoch, h.before.lost) if h.before else (0, 0)
        entries, zero = tuple(log[at : at + n.log]), n.flags & FROM_ZERO != 0
        samples.append(
            Sample(
                h.status,
                h.time,
                h.wall,
                epoch + n.epoch,
                rows,
                lost + n.lost,
                cost,
                entries,
                zero,
                unlogged=h.unlogged,
                forgotten=h.forgotten,
            )
        )
        at += n.log
    return tuple(samples)


def _read_rows(
    data: Reader, headers: Sequence[_Header], layout: Layout
) -> Sequence[Mapping[Key, Row]]:
    """Return the rows of each sample, as columns where one has many."""
    width = len(layout.names)
    if any(h.numbers.rows > FEW for h in headers):
        parts = [
            DecodedPart(h.numbers.rows, h.before.rows if h.before else {}, h.order) for h in headers
        ]
        return read_tables(data, parts, width, layout.keys)
    base: list[Row] = []
    for h in headers:
        before = list(h.before.rows.values()) if h.before is not None else []
        base += before if h.order is None else [before[place - 1] for place in h.order if place]
    kept = iter(data.rows(len(base), width, base))
    new = iter(data.rows(sum(h.new for h in headers), width, None))
    key = key_of(layout.keys)
    return [_by_key(h, kept, new, key) for h in headers]


def _by_key(
    h: _Header, kept: Iterator[Row], new: Iterator[Row], key: Callable[[Row], Key]
) -> dict[Key, Row]:
    """Return a sample's rows by key; the keys of rows that were there before are known."""
    keys = list(h.before.rows) if h.before is not None else []
    if h.order is None:
        return dict(zip(keys, kept, strict=False))
    rows = dict[Key, Row]()
    for place in h.order:
        if place:
            rows[keys[place - 1]] = next(kept)
        else:
            row = next(new)
            rows[key(row)] = row
    return rows


def key_of(places: tuple[int, ...]) -> Callable[[Row], Key]:
    """Return a function from a row to its key."""
    if len(places) == 1:
        (place,) = places
        return lambda row: (row[place],)
    return itemgetter(*places) if places else lambda _: ()


def _read_headers(
    data: Reader, hook: str, known: Sequence[Sample], clocks: tuple[Clock, Clock]
) -> list[_Header]:
    number = data.size(MOST_SAMPLES)
    data.take(OBJECT * number)
    columns = data.whole(number, len(Numbers._fields))
    written = [Numbers(*row) for row in zip(*columns, strict=True)]
    befores, stated, headers = [], list[tuple[Status, int | None, int, int]](), []
    for n in written:
        if not (
            0 <= n.place <= len(known) and 0 <= n.flags < MOST_FLAGS and n.rows >= 0 and n.log >= 0
        ):
            raise Malformed("a number is out of bounds")
        before = known[n.place - 1] if n.place else None
        if n.flags & RESTATED:
            status = _read_status(data)
        elif before is not None:
            status = before.status
        else:
            raise Malformed("a sample has no status")
        if status.id.hook != hook:
            raise Malformed("a sample belongs to another hook")
        known_memory = before.cost.map_memory if before and before.cost else None
        memory = data.count(MOST_MEMORY) if n.flags & MEMORY else known_memory
        unlogged = before.unlogged if before is not None else 0
        if n.flags & UNLOGGED:
            unlogged = data.count(MOST_COUNT) or 0
        forgotten = before.forgotten if before is not None else 0
        if n.flags & FORGOTTEN:
            forgotten = data.count(MOST_COUNT) or 0
        befores.append(before)
        stated.append((status, memory, unlogged, forgotten))
    for n, before, (status, memory, unlogged, forgotten) in zip(
        written, befores, stated, strict=True
    ):
        time, wall = clocks[0].step(n.time), clocks[1].step(n.wall)
        if time is None or wall is None or max(time, wall) >= LATEST:
            raise Malformed("a time is not valid")
        order = _read_order(data, n, before)
        headers.append(_Header(n, status, memory, unlogged, forgotten, time, wall, before, order))
    return headers


def _read_order(
    data: Reader, n: Numbers, before: Sample | None
) -> Sequence[int] | NDArray[Any] | None:
    there = len(before.rows) if before is not None else 0
    if n.flags & IN_ORDER:
        if before is None or n.rows != there:
            raise Malformed("a sample refers to missing rows")
        return None
    if n.rows > MOST_ROWS:
        raise Malformed("a moment is larger than any can be")
    if not there or not n.rows:
        data.take(n.rows)
        return [0] * n.rows
    if n.rows > FEW:
        return read_order(data, n.rows, there)
    last, order = 0, []
    for step in data.integers(n.rows):
        place = step + last + 1
        if not 0 <= place <= there:
            raise Malformed("a row is out of bounds")
        order.append(place)
        last = place or last
    return order


def _read_status(data: Reader) -> Status:
    """Return a status, printable: it is never written as a difference."""
    data.take(OBJECT)
    id = HookId(_words(data, NAME), _optional_words(data, NAME))
    try:
        state = State(data.text(NAME))
    except ValueError:
        raise Malformed("a state is not valid") from None
    rung, refused = _optional_words(data, NAME), _read_refusals(data)
    note = _words(data)
    last = data.size(2 * MOST_SLOWED + 1)  # in format 1 it says no more than pinned
    return Status(id, state, rung, refused, note, last & 1 == 1, 1 + (last >> 1))


def _words(data: Reader, most: int = WORDS) -> str:
    return printable(data.text(most))


def _optional_words(data: Reader, most: int) -> str | None:
    text = data.optional(most)
    return None if text is None else printable(text)


def _read_refusals(data: Reader) -> tuple[Refusal, ...]:
    return tuple([_read_refusal(data) for _ in range(data.size(MOST_REFUSALS))])


def _read_refusal(data: Reader) -> Refusal:
    data.take(OBJECT)
    rung, error, why, remedy = (_words(data) for _ in range(4))
    log = data.text(WORDS).splitlines()  # a verifier has many lines to say
    return Refusal(rung, error, why, remedy, "\n".join([printable(line) for line in log]))


def _read_statuses(data: Reader, before: tuple[Status, ...] | None) -> tuple[Status, ...]:
    number = data.size(MOST_SAMPLES) - 1
    if number >= 0:
        return tuple([_read_status(data) for _ in range(number)])
    if before is None:
        raise Malformed("it has no statuses")
    return before


def _read_rules(data: Reader) -> tuple[Enforced, ...]:
    return tuple([_read_rule(data) for _ in range(data.size(MOST_RULES))])


def _read_rule(data: Reader) -> Enforced:
    data.take(4 * OBJECT)
    interface, source = _words(data, NAME), data.optional(NAME)
    protocol, port = data.count(1 << 17), data.count(1 << 17)
    ttl = data.real()
    rule = _rule(source, protocol, port, ttl)
    rung, left = _optional_words(data, NAME), data.real()
    if not -LATEST < left < LATEST:
        raise Malformed("a time is not valid")
    packets, octets = data.size(MOST_COUNT), data.size(MOST_COUNT)
    return Enforced(
        interface, rule, rung, left, packets, octets, _read_refusals(data), _words(data)
    )


@lru_cache(maxsize=_RULES_KNOWN)
def _rule(source: str | None, protocol: int | None, port: int | None, ttl: float) -> DropRule:
    """Return a rule, made once: it is written in each frame."""
    try:
        if source is not None and "%" in source:
            raise Malformed("a rule is not valid")  # a zone may be any text
        return DropRule(None if source is None else ip_network(source), protocol, port, ttl)
    except (RuleError, ValueError):
        raise Malformed("a rule is not valid") from None
