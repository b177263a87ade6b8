"""Frames back to moments. Anybody may have made them: whatever no `Encoder` writes is Malformed,
and no frame makes more than a moment can have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from operator import itemgetter
from typing import NamedTuple

from probes.drop_rule import Rule, RuleError
from probes.model import Cost, Enforced, HookId, Key, Refusal, Row, Sample, State, Status
from probes.recording.codec import Malformed, Reader
from probes.recording.encoder import (
    COSTS,
    FROM_ZERO,
    IN_ORDER,
    MEMORY,
    RESTATED,
    Clock,
    Layout,
    Tick,
    bits_of,
)

MOST_ROWS = 1 << 16
MOST_HOOKS, MOST_SAMPLES, MOST_COLUMNS = 256, 1 << 14, 256
MOST_REFUSALS, MOST_RULES, MOST_LOG = 64, 1 << 13, 1 << 16
MOST_FLAGS = 1 << 5
MOST_MEMORY, MOST_SLOWED = 1 << 50, 1 << 32
LATEST = 1 << 36
"""Unix seconds that a moment may have (the year 4147)."""


@dataclass
class Decoder:
    """Reads frames, one after the other. layouts: of the hooks that it has met."""

    layouts: dict[str, Layout] = field(default_factory=dict)
    before: Tick | None = None

    def decode(self, frame: bytes, *, key: bool) -> Tick:
        """The moment of a frame, which follows the one before it or is a key. Raises Malformed."""
        before = None if key else self.before
        if before is None and not key:
            raise Malformed("it does not begin with a whole moment")
        data = Reader(frame)
        wall, interval = data.real(), data.real()
        if not (0 <= wall < LATEST and 0 < interval < LATEST):
            raise Malformed("a time is none")
        statuses = _read_statuses(data, before.statuses if before else None)
        rules = _read_rules(data)
        samples = {}
        clocks = Clock(), Clock(bits_of(wall))
        for _ in range(data.size(MOST_HOOKS)):
            hook = data.text()
            known = before.samples.get(hook) if before else None
            how = data.size(2)
            if (known is None) != (how == 1):
                raise Malformed("a hook has no beginning")
            if how == 1:
                self.layouts[hook] = _read_layout(data)
            samples[hook] = (
                known
                if known is not None and how == 0
                else _read_samples(data, hook, self.layouts[hook], known or (), clocks)
            )
        if not data.done():
            raise Malformed("it ends too late")
        self.before = Tick(wall, interval, samples, statuses, rules)
        return self.before


def _read_layout(data: Reader) -> Layout:
    names = tuple([data.text() for _ in range(data.size(MOST_COLUMNS))])
    log = tuple([data.text() for _ in range(data.size(MOST_COLUMNS))])
    keys = tuple([data.size(MOST_COLUMNS) for _ in range(data.size(MOST_COLUMNS))])
    if not names or any(place >= len(names) for place in keys):
        raise Malformed("a hook has no columns")
    return Layout(names, keys, log)


class Numbers(NamedTuple):
    """What is written of a sample beside its rows: where it was before (from 1 on; 0: nowhere),
    flags, and differences from there."""

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
    """A sample without its rows. memory: of its maps. order: for each row its place before, from 1
    on; 0: it is new; None: as before."""

    numbers: Numbers
    status: Status
    memory: int | None
    time: float
    wall: float
    before: Sample | None
    order: Sequence[int] | None

    @property
    def new(self) -> int:
        """How many rows are."""
        return self.order.count(0) if self.order is not None else 0


def _read_samples(
    data: Reader,
    hook: str,
    layout: Layout,
    known: Sequence[Sample],
    clocks: tuple[Clock, Clock],
) -> tuple[Sample, ...]:
    headers = _read_headers(data, hook, known, clocks)
    if sum(h.numbers.rows for h in headers) > MOST_ROWS:
        raise Malformed("a moment is larger than any can be")
    base: list[Row] = []
    for h in headers:
        before = list(h.before.rows.values()) if h.before is not None else []
        base += before if h.order is None else [before[place - 1] for place in h.order if place]
    width, log_width = len(layout.names), len(layout.log)
    kept = data.rows(len(base), width, base)
    new = data.rows(sum(h.new for h in headers), width, None)
    logged = sum(h.numbers.log for h in headers)
    if logged > (MOST_LOG if log_width else 0):
        raise Malformed("a log is larger than any can be")
    log = data.rows(logged, log_width, None)
    key, samples, at = key_of(layout.keys), [], [0, 0, 0]
    for h in headers:
        n, was = h.numbers, (h.before.cost if h.before else None) or Cost()
        ends = [at[0] + n.rows - h.new, at[1] + h.new, at[2] + n.log]
        rows = _by_key(h, kept[at[0] : ends[0]], new[at[1] : ends[1]], key)
        costs = n.flags & COSTS
        cost = Cost(was.runs + n.runs, was.run_ns + n.run_ns, h.memory) if costs else None
        epoch, lost = (h.before.epoch, h.before.lost) if h.before else (0, 0)
        entries, zero = tuple(log[at[2] : ends[2]]), n.flags & FROM_ZERO != 0
        samples.append(
            Sample(
                h.status, h.time, h.wall, epoch + n.epoch, rows, lost + n.lost, cost, entries, zero
            )
        )
        at = ends
    return tuple(samples)


def _by_key(
    h: _Header, kept: list[Row], new: list[Row], key: Callable[[Row], Key]
) -> dict[Key, Row]:
    """A sample's rows: of those that were there before the key is known."""
    keys = list(h.before.rows) if h.before is not None else []
    if h.order is None:
        return dict(zip(keys, kept, strict=True))
    rows, old, fresh = dict[Key, Row](), iter(kept), iter(new)
    for place in h.order:
        if place:
            rows[keys[place - 1]] = next(old)
        else:
            row = next(fresh)
            rows[key(row)] = row
    return rows


def key_of(places: tuple[int, ...]) -> Callable[[Row], Key]:
    """What takes the key out of a row."""
    if len(places) == 1:
        (place,) = places
        return lambda row: (row[place],)
    return itemgetter(*places) if places else lambda _: ()


def _read_headers(
    data: Reader, hook: str, known: Sequence[Sample], clocks: tuple[Clock, Clock]
) -> list[_Header]:
    number = data.size(MOST_SAMPLES)
    columns = data.whole(number, len(Numbers._fields))
    written = [Numbers(*row) for row in zip(*columns, strict=True)]
    befores, stated, headers = [], list[tuple[Status, int | None]](), []
    for n in written:
        if not (
            0 <= n.place <= len(known) and 0 <= n.flags < MOST_FLAGS and n.rows >= 0 and n.log >= 0
        ):
            raise Malformed("a number is out of its bounds")
        before = known[n.place - 1] if n.place else None
        if n.flags & RESTATED:
            status = _read_status(data)
        elif before is not None:
            status = before.status
        else:
            raise Malformed("a sample has no status")
        if status.id.hook != hook:
            raise Malformed("a sample is another hook's")
        known_memory = before.cost.map_memory if before and before.cost else None
        memory = data.count(MOST_MEMORY) if n.flags & MEMORY else known_memory
        befores.append(before)
        stated.append((status, memory))
    for n, before, (status, memory) in zip(written, befores, stated, strict=True):
        time, wall = clocks[0].step(n.time), clocks[1].step(n.wall)
        if time is None or wall is None or max(time, wall) >= LATEST:
            raise Malformed("a time is none")
        headers.append(_Header(n, status, memory, time, wall, before, _read_order(data, n, before)))
    return headers


def _read_order(data: Reader, n: Numbers, before: Sample | None) -> Sequence[int] | None:
    there = len(before.rows) if before is not None else 0
    if n.flags & IN_ORDER:
        if before is None or n.rows != there:
            raise Malformed("a sample has no rows before")
        return None
    if n.rows > MOST_ROWS:
        raise Malformed("a moment is larger than any can be")
    if not there or not n.rows:
        data.take(n.rows)
        return [0] * n.rows
    last, order = 0, []
    for step in data.integers(n.rows):
        place = step + last + 1
        if not 0 <= place <= there:
            raise Malformed("a row is out of bounds")
        order.append(place)
        last = place or last
    return order


def _read_status(data: Reader) -> Status:
    id = HookId(data.text(), data.optional())
    try:
        state = State(data.text())
    except ValueError:
        raise Malformed("a state is none") from None
    rung, refused, note = data.optional(), _read_refusals(data), data.text()
    last = data.size(2 * MOST_SLOWED + 1)  # in format 1 it says no more than pinned
    return Status(id, state, rung, refused, note, last & 1 == 1, 1 + (last >> 1))


def _read_refusals(data: Reader) -> tuple[Refusal, ...]:
    return tuple(
        [Refusal(*[data.text() for _ in range(5)]) for _ in range(data.size(MOST_REFUSALS))]
    )


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
    interface, source = data.text(), data.optional()
    protocol, port = data.count(1 << 17), data.count(1 << 17)
    ttl = data.real()
    try:
        network = None if source is None else ip_network(source)
        rule = Rule(network, protocol, port, ttl)
    except (RuleError, ValueError):
        raise Malformed("a rule is none") from None
    rung, left = data.optional(), data.real()
    packets, octets = data.size(1 << 80), data.size(1 << 80)
    return Enforced(interface, rule, rung, left, packets, octets, _read_refusals(data), data.text())
