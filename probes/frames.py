"""A moment of all hooks, and how it becomes bytes: a frame. (`unframing` has the way back.)

A key frame stands for itself; any other says what changed since the moment before.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from probes.cells import Writer
from probes.model import Cost, Enforced, Hook, Refusal, Row, Sample, Status


@dataclass(frozen=True, slots=True)
class Tick:
    """A moment. wall: Unix seconds. interval: seconds between two moments, as asked for.

    samples: by hook, what its last reading gave. A hook that was not read since the moment before
    has the very same tuple as there (`is`); who follows moments takes it only once.
    """

    wall: float
    interval: float
    samples: Mapping[str, tuple[Sample, ...]]
    statuses: tuple[Status, ...] = ()
    rules: tuple[Enforced, ...] = ()

    def fresh(self, before: Tick | None) -> Mapping[str, tuple[Sample, ...]]:
        """What was read since the moment before."""
        if before is None:
            return self.samples
        known = before.samples
        return {h: s for h, s in self.samples.items() if known.get(h) is not s}


class Layout(NamedTuple):
    """What a hook's rows are made of: names, the places of those that make the key; its log's."""

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

    def write(self, out: Writer, time: float) -> None:
        bits = bits_of(time)
        out.number(bits - self.bits)
        self.bits = bits

    def step(self, step: int) -> float | None:
        """The time that is so many bits on; None: no time."""
        self.bits += step
        if not 0 <= self.bits < 0x7FF0 << 48:
            return None
        (time,) = struct.unpack("<d", struct.pack("<q", self.bits))
        return float(time)


def bits_of(time: float) -> int:
    (bits,) = struct.unpack("<q", struct.pack("<d", time))
    return int(bits)


class Encoder:
    """Writes moments, one after the other. hooks: the catalogue that the samples are by."""

    def __init__(self, hooks: Mapping[str, Hook]) -> None:
        self._layouts = {name: Layout.of(hook) for name, hook in hooks.items()}
        self._before: Tick | None = None

    def encode(self, tick: Tick, *, key: bool) -> bytes:
        """A frame. key: one that needs none before it; the first has to be one."""
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
                _write_layout(out, self._layouts[hook])
            _write_samples(out, samples, known or (), clocks)
        return bytes(out.data)


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
    """Samples of one hook: what they are, then their rows together, then their logs."""
    places = {s.status.id: i for i, s in enumerate(known)}
    kept: list[Row] = []
    base: list[Row] = []
    new: list[Row] = []
    out.size(len(samples))
    for sample in samples:
        place = places.get(sample.status.id)
        before = None if place is None else known[place]
        out.size(0 if place is None else place + 1)
        if before is None or before.status != sample.status:
            out.size(1)
            _write_status(out, sample.status)
        else:
            out.size(0)
        clocks[0].write(out, sample.time)
        clocks[1].write(out, sample.wall)
        _write_numbers(out, sample, before)
        if _write_order(out, sample, before):
            kept += sample.rows.values()
            base += before.rows.values() if before is not None else ()
            continue
        for key, row in sample.rows.items():
            was = before.rows.get(key) if before is not None else None
            if was is None:
                new.append(row)
            else:
                kept.append(row)
                base.append(was)
    out.rows(kept, base)
    out.rows(new, None)
    for sample in samples:
        out.size(len(sample.log))
    out.rows([entry for sample in samples for entry in sample.log], None)


def _write_numbers(out: Writer, sample: Sample, before: Sample | None) -> None:
    cost, was = sample.cost, (before.cost if before else None) or Cost()
    out.size((cost is not None) | sample.from_zero << 1)
    out.number(sample.epoch - (before.epoch if before else 0))
    out.number(sample.lost - (before.lost if before else 0))
    if cost is not None:
        out.number(cost.runs - was.runs)
        out.number(cost.run_ns - was.run_ns)


def _write_order(out: Writer, sample: Sample, before: Sample | None) -> bool:
    """Which row is which: 0: as before; else one more than their number, and where each was.

    Whether they are as before."""
    keys = list(sample.rows)
    if before is not None and keys == list(before.rows):
        out.size(0)
        return True
    out.size(len(keys) + 1)
    if before is None or not before.rows or not keys:
        return False
    places = {key: i for i, key in enumerate(before.rows, 1)}
    last, steps = 0, []
    for key in keys:
        place = places.get(key, 0)
        steps.append(place - last - 1 if place else -last - 1)
        last = place or last
    out.column(steps, None)
    return False


def _write_status(out: Writer, status: Status) -> None:
    out.text(status.id.hook)
    out.optional(status.id.target)
    out.text(status.state)
    out.optional(status.rung)
    _write_refusals(out, status.refused)
    out.text(status.note)
    out.size(status.pinned)


def _write_refusals(out: Writer, refused: Sequence[Refusal]) -> None:
    out.size(len(refused))
    for r in refused:
        for text in (r.rung, r.error, r.why, r.remedy, r.log[-4096:]):
            out.text(text)


def _write_statuses(
    out: Writer, statuses: Sequence[Status], before: Sequence[Status] | None
) -> None:
    if statuses == before:
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
            out.size(0 if number is None else number + 1)
        out.real(e.rule.ttl)
        out.optional(e.rung)
        out.real(e.expires_in)
        out.size(e.packets)
        out.size(e.bytes)
        _write_refusals(out, e.refused)
        out.text(e.note)
