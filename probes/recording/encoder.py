"""Encode a moment of all hooks as bytes: a frame. `decoder` has the way back.

A key frame is complete; any other holds the changes since the previous moment.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from probes.arrays import np
from probes.columns.cells import NumberCells
from probes.columns.row_table import RowTable
from probes.model import Cost, Enforced, Hook, Key, Refusal, Row, Sample, Status
from probes.recording.cell_writer import order_of, write_cells, write_rows
from probes.recording.codec import Writer


@dataclass(frozen=True, slots=True)
class Tick:
    """A moment. wall: Unix seconds. interval: seconds between two moments, as asked for.

    samples: by hook, what its last reading gave. A hook that was not read since the moment before
    has the same samples as there; who follows moments takes it only once (`fresh`).
    """

    wall: float
    interval: float
    samples: Mapping[str, tuple[Sample, ...]]
    statuses: tuple[Status, ...] = ()
    rules: tuple[Enforced, ...] = ()

    @property
    def time(self) -> float:
        """Monotonic seconds of that host when the newest was read; 0: nothing was."""
        return max((s.time for samples in self.samples.values() for s in samples), default=0.0)

    def fresh(self, before: Tick | None) -> Mapping[str, tuple[Sample, ...]]:
        """Return what was read since the previous moment."""
        if before is None:
            return self.samples
        known = before.samples
        return {h: s for h, s in self.samples.items() if not _the_same(known.get(h), s)}


def _the_same(before: tuple[Sample, ...] | None, now: tuple[Sample, ...]) -> bool:
    """Return whether it is the same reading; separately decoded moments have equal ones."""
    if before is now or before is None:
        return before is now
    return [s.time for s in before] == [s.time for s in now] and before == now


_BITS, _REAL = struct.Struct("<q"), struct.Struct("<d")


class Layout(NamedTuple):
    """The layout of a hook's rows: names, the places of the key's columns; and its log's names."""

    names: tuple[str, ...]
    keys: tuple[int, ...]
    log: tuple[str, ...]

    @classmethod
    def of(cls, hook: Hook) -> Layout:
        return cls(hook.places.names, hook.places.keys, tuple(c.name for c in hook.log))


@dataclass
class Clock:
    """Times as differences in the last bit, which are small between readings of one moment."""

    bits: int = 0

    def to(self, time: float) -> int:
        """Return the step to that time."""
        step = bits_of(time) - self.bits
        self.bits += step
        return step

    def step(self, step: int) -> float | None:
        """Return the time that is so many bits further on; None: it is not a time."""
        self.bits += step
        if not 0 <= self.bits < 0x7FF0 << 48:
            return None
        (time,) = _REAL.unpack(_BITS.pack(self.bits))
        return float(time)


def bits_of(time: float) -> int:
    bits: int = _BITS.unpack(_REAL.pack(time))[0]
    return bits


class Encoder:
    """An encoder of moments, one after the other. hooks: the catalogue of the samples."""

    def __init__(self, hooks: Mapping[str, Hook]) -> None:
        self._hooks = hooks
        self._layouts: dict[str, Layout] = {}
        self._before: Tick | None = None

    def encode(self, tick: Tick, *, key: bool) -> bytes:
        """Return a frame. key: one that needs none before it; the first has to be one."""
        before = None if key else self._before
        self._before = tick
        out = Writer()
        out.real(tick.wall)
        out.real(tick.interval)
        _write_statuses(out, tick.statuses, before.statuses if before else None)
        _write_rules(out, tick.rules)
        out.size(len(tick.samples))
        clocks = Clock(), Clock(bits_of(tick.wall))
        for hook, samples in tick.samples.items():
            known = before.samples.get(hook) if before else None
            out.text(hook)
            if known is samples:
                out.size(0)
                continue
            out.size(1 if known is None else 2)
            if known is None:
                _write_layout(out, self._layout(hook))
            _write_samples(out, samples, known or (), clocks)
        return bytes(out.data)

    def _layout(self, hook: str) -> Layout:
        """Return a layout, made when needed: the catalogue may grow by hooks of the user's own."""
        if hook not in self._layouts:
            self._layouts[hook] = Layout.of(self._hooks[hook])
        return self._layouts[hook]


def _write_layout(out: Writer, layout: Layout) -> None:
    for names in (layout.names, layout.log):
        out.size(len(names))
        for name in names:
            out.text(name)
    out.size(len(layout.keys))
    for place in layout.keys:
        out.size(place)


def _write_samples(
    out: Writer, samples: Sequence[Sample], known: Sequence[Sample], clocks: tuple[Clock, Clock]
) -> None:
    """Write the samples of one hook: their headers, then their rows together, then their logs."""
    places = {s.status.id: i for i, s in enumerate(known, 1)}
    at = [places.get(s.status.id, 0) for s in samples]
    before = [known[p - 1] if p else None for p in at]
    pairs = list(zip(samples, before, strict=True))
    flags = [_flags(s, was) for s, was in pairs]
    out.size(len(samples))
    numbers = zip(at, flags, pairs, strict=True)
    out.rows([(p, f, *_numbers(*pair, clocks)) for p, f, pair in numbers], None)
    for flag, (sample, _) in zip(flags, pairs, strict=True):
        if flag & RESTATED:
            _write_status(out, sample.status)
        if flag & MEMORY:
            out.count(sample.cost.map_memory if sample.cost else None)
        if flag & UNLOGGED:
            out.count(sample.unlogged)
        if flag & FORGOTTEN:
            out.count(sample.forgotten)
    _write_rows(out, pairs, flags)
    out.rows([entry for sample in samples for entry in sample.log], None)


def _write_rows(
    out: Writer, pairs: Sequence[tuple[Sample, Sample | None]], flags: Sequence[int]
) -> None:
    """Write the rows that were there before as differences, then the new ones."""
    for flag, (sample, was) in zip(flags, pairs, strict=True):
        if was is not None and not flag & IN_ORDER:
            _write_order(out, sample, was)
    if any(isinstance(sample.rows, RowTable) for sample, _ in pairs):
        write_rows(out, _tables(pairs))
        return
    kept: list[Row] = []
    base: list[Row] = []
    new: list[Row] = []
    for flag, (sample, was) in zip(flags, pairs, strict=True):
        if was is not None and flag & IN_ORDER:
            kept += sample.rows.values()
            base += was.rows.values()
            continue
        for key, row in sample.rows.items():
            old = was.rows.get(key) if was is not None else None
            if old is None:
                new.append(row)
            else:
                kept.append(row)
                base.append(old)
    out.rows(kept, base)
    out.rows(new, None)


def _tables(
    pairs: Sequence[tuple[Sample, Sample | None]],
) -> Iterator[tuple[RowTable, RowTable | None]]:
    """Yield the rows of a hook's samples, and those of the ones before, as columns."""
    keys = next(s.rows.keyed for s, _ in pairs if isinstance(s.rows, RowTable))
    for sample, was in pairs:
        if (now := _table(sample.rows, keys)) is not None:
            yield now, None if was is None else _table(was.rows, keys)


def _table(rows: Mapping[Key, Row], keys: tuple[int, ...]) -> RowTable | None:
    """Return rows as columns; None: there are none."""
    if not rows:
        return None
    return rows if isinstance(rows, RowTable) else RowTable.of_rows(rows.values(), keys)


_FREE = Cost()
COSTS, FROM_ZERO, RESTATED, IN_ORDER, MEMORY, UNLOGGED, FORGOTTEN = 1, 2, 4, 8, 16, 32, 64
"""What is so of a sample: it has a cost, it began at zero, its status follows, its rows are those
of before, and (since format 2) its maps' memory, how many events have no log entry, and how many
rows were left out, follow."""


def _flags(sample: Sample, was: Sample | None) -> int:
    known = (was.cost if was else None) or _FREE
    return (
        (sample.cost is not None) * COSTS
        | sample.from_zero * FROM_ZERO
        | (was is None or was.status != sample.status) * RESTATED
        | (was is not None and _in_order(sample, was)) * IN_ORDER
        | (sample.cost is not None and sample.cost.map_memory != known.map_memory) * MEMORY
        | (sample.unlogged != (was.unlogged if was else 0)) * UNLOGGED
        | (sample.forgotten != (was.forgotten if was else 0)) * FORGOTTEN
    )


def _numbers(sample: Sample, was: Sample | None, clocks: tuple[Clock, Clock]) -> tuple[int, ...]:
    """Return the numbers of `decoder.Numbers`, after the flags.

    Differences from the previous sample.
    """
    known = (was.cost if was else None) or _FREE
    cost = sample.cost or known
    return (
        clocks[0].to(sample.time), clocks[1].to(sample.wall),
        sample.epoch - (was.epoch if was else 0), sample.lost - (was.lost if was else 0),
        cost.runs - known.runs, cost.run_ns - known.run_ns, len(sample.rows), len(sample.log),
    )  # fmt: skip


def _in_order(sample: Sample, was: Sample) -> bool:
    if len(sample.rows) != len(was.rows):
        return False
    if isinstance(sample.rows, RowTable) and isinstance(was.rows, RowTable):
        places = sample.rows.places_in(was.rows)
        return bool((places == np.arange(len(places))).all())
    return list(sample.rows) == list(was.rows)


def _write_order(out: Writer, sample: Sample, was: Sample) -> None:
    """Write each row's previous place, from 1 on; 0: it is new. As steps from the place after."""
    if not was.rows or not sample.rows:
        return
    if isinstance(sample.rows, RowTable) and isinstance(was.rows, RowTable):
        write_cells(out, NumberCells(order_of(sample.rows, was.rows)), None)
        return
    places = {key: i for i, key in enumerate(was.rows, 1)}
    last, steps = 0, []
    for key in sample.rows:
        place = places.get(key, 0)
        steps.append(place - last - 1)
        last = place or last
    out.column(steps, None)


def _write_status(out: Writer, status: Status) -> None:
    out.text(status.id.hook)
    out.optional(status.id.target)
    out.text(status.state)
    out.optional(status.rung)
    _write_refusals(out, status.refused)
    out.text(status.note)
    out.size(status.pinned | (status.one_in - 1) << 1)  # the latter since format 2


def _write_refusals(out: Writer, refused: Sequence[Refusal]) -> None:
    out.size(len(refused))
    for r in refused:
        for text in (r.rung, r.error, r.why, r.remedy, r.log[-4096:]):
            out.text(text)


def _write_statuses(
    out: Writer, statuses: Sequence[Status], before: Sequence[Status] | None
) -> None:
    if statuses is before or statuses == before:
        out.size(0)
        return
    out.size(len(statuses) + 1)
    for status in statuses:
        _write_status(out, status)


def _write_rules(out: Writer, rules: Sequence[Enforced]) -> None:
    out.size(len(rules))
    for e in rules:
        out.text(e.interface)
        out.optional(None if e.rule.source is None else str(e.rule.source))
        for number in (e.rule.protocol, e.rule.port):
            out.count(number)
        out.real(e.rule.ttl)
        out.optional(e.rung)
        out.real(e.expires_in)
        out.size(e.packets)
        out.size(e.bytes)
        _write_refusals(out, e.refused)
        out.text(e.note)
