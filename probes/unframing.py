"""Frames back to moments. Anybody may have made them: whatever no `Encoder` writes is Malformed,
and no frame makes more than a moment can have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from operator import itemgetter
from typing import NamedTuple

from probes.cells import Malformed, Reader
from probes.frames import Clock, Layout, Tick, bits_of
from probes.model import Cost, Enforced, HookId, Key, Refusal, Row, Sample, State, Status
from probes.rules import Rule, RuleError

MOST_ROWS = 1 << 16
MOST_HOOKS, MOST_SAMPLES, MOST_COLUMNS = 256, 1 << 14, 256
MOST_REFUSALS, MOST_RULES, MOST_LOG = 64, 1 << 13, 1 << 16
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


class _Header(NamedTuple):
    """A sample without its rows. order: for each row its place before, from 1 on; 0: new."""

    status: Status
    time: float
    wall: float
    flags: int
    epoch: int
    lost: int
    cost: Cost | None
    before: Sample | None
    order: Sequence[int] | None
    rows: int


def _read_samples(
    data: Reader,
    hook: str,
    layout: Layout,
    known: Sequence[Sample],
    clocks: tuple[Clock, Clock],
) -> tuple[Sample, ...]:
    headers = [_read_header(data, hook, known, clocks) for _ in range(data.size(MOST_SAMPLES))]
    if sum(h.rows for h in headers) > MOST_ROWS:
        raise Malformed("a moment is larger than any can be")
    base: list[Row] = []
    new = 0
    for h in headers:
        before = list(h.before.rows.values()) if h.before is not None else []
        if h.order is None:
            base += before
        else:
            base += [before[place - 1] for place in h.order if place]
            new += h.order.count(0)
    width = len(layout.names)
    kept = iter(data.rows(len(base), width, base))
    fresh = iter(data.rows(new, width, None))
    logged = [data.size(MOST_LOG if layout.log else 0) for _ in headers]
    log = iter(data.rows(sum(logged), len(layout.log), None))
    key = _key(layout.keys)
    samples = []
    for h, entries in zip(headers, logged, strict=True):
        if h.order is None:
            rows = [next(kept) for _ in range(h.rows)]
        else:
            rows = [next(kept) if place else next(fresh) for place in h.order]
        samples.append(
            Sample(
                h.status, h.time, h.wall, h.epoch, {key(row): row for row in rows}, h.lost,
                h.cost, tuple([next(log) for _ in range(entries)]), h.flags & 2 != 0,
            )
        )  # fmt: skip
    return tuple(samples)


def _key(places: tuple[int, ...]) -> Callable[[Row], Key]:
    """What takes the key out of a row."""
    if len(places) == 1:
        (place,) = places
        return lambda row: (row[place],)
    return itemgetter(*places) if places else lambda _: ()


def _read_header(
    data: Reader, hook: str, known: Sequence[Sample], clocks: tuple[Clock, Clock]
) -> _Header:
    place = data.size(len(known))
    before = known[place - 1] if place else None
    if data.size(1):
        status = _read_status(data)
        if status.id.hook != hook:
            raise Malformed("a sample is another hook's")
    elif before is not None:
        status = before.status
    else:
        raise Malformed("a sample has no status")
    time, wall = (clock.step(data.number()) for clock in clocks)
    if time is None or wall is None or max(time, wall) >= LATEST:
        raise Malformed("a time is none")
    flags = data.size(3)
    epoch = data.number() + (before.epoch if before else 0)
    lost = data.number() + (before.lost if before else 0)
    was = (before.cost if before else None) or Cost()
    cost = Cost(was.runs + data.number(), was.run_ns + data.number()) if flags & 1 else None
    order, rows = _read_order(data, before)
    return _Header(status, time, wall, flags, epoch, lost, cost, before, order, rows)


def _read_order(data: Reader, before: Sample | None) -> tuple[Sequence[int] | None, int]:
    there = len(before.rows) if before is not None else 0
    number = data.size(MOST_ROWS + 1) - 1
    if number < 0:
        if before is None:
            raise Malformed("a sample has no rows before")
        return None, there
    if not there or not number:
        data.take(number)
        return [0] * number, number
    last, order = 0, []
    for step in data.integers(number):
        place = step + last + 1
        if not 0 <= place <= there:
            raise Malformed("a row is out of bounds")
        order.append(place)
        last = place or last
    return order, number


def _read_status(data: Reader) -> Status:
    id = HookId(data.text(), data.optional())
    try:
        state = State(data.text())
    except ValueError:
        raise Malformed("a state is none") from None
    return Status(id, state, data.optional(), _read_refusals(data), data.text(), data.size(1) == 1)


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
    protocol, port = (n - 1 if (n := data.size(1 << 17)) else None for _ in range(2))
    ttl = data.real()
    try:
        network = None if source is None else ip_network(source)
        rule = Rule(network, protocol, port, ttl)
    except (RuleError, ValueError):
        raise Malformed("a rule is none") from None
    rung, left = data.optional(), data.real()
    packets, octets = data.size(1 << 80), data.size(1 << 80)
    return Enforced(interface, rule, rung, left, packets, octets, _read_refusals(data), data.text())
