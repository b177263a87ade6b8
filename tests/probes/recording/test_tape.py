"""The tape: what goes in comes out, from anywhere, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import pytest

from bench.busy_host import Host
from probes.analysis.funnel import remember
from probes.analysis.snapshot import Snapshot, Trail
from probes.hooks import catalogue
from probes.model import HookId, Sample, State, Status
from probes.recording.codec import Malformed, Reader, Value, Writer
from probes.recording.decoder import Decoder
from probes.recording.encoder import Encoder, Tick
from probes.recording.tape import KEY_EVERY, Gathering, Tape
from probes.sources.demo.source import START
from tests.support.recordings import demo_ticks

SMALL = {"connections": 40, "interfaces": 4}


def _same(one: Tick, other: Tick) -> None:
    """Also in the order of rows."""
    assert one == other
    for hook, samples in one.samples.items():
        for a, b in zip(samples, other.samples[hook], strict=True):
            assert list(a.rows) == list(b.rows)


def _frames(ticks: Iterable[Tick], every: int = 10) -> Iterable[tuple[bytes, bool]]:
    encoder = Encoder(catalogue())
    for n, tick in enumerate(ticks):
        yield encoder.encode(tick, key=n % every == 0), n % every == 0


async def test_what_the_demo_gives_comes_back_as_it_was() -> None:
    ticks = await demo_ticks(80)
    assert any(tick.rules for tick in ticks)
    decoder = Decoder()
    for tick, (frame, key) in zip(ticks, _frames(ticks), strict=True):
        _same(decoder.decode(frame, key=key), tick)


def test_rows_that_come_go_and_move_come_back_as_they_were() -> None:
    decoder = Decoder()
    ticks = list(Host(**SMALL).ticks(40))
    for tick, (frame, key) in zip(ticks, _frames(ticks, 20), strict=True):
        _same(decoder.decode(frame, key=key), tick)


COLUMNS: list[tuple[list[Value], list[Value]]] = [
    ([1, 2, 3], [1, 2, 4]),
    ([0, 2**62], [-(2**63), 2**64 + 1]),
    ([2**70, -(2**90)], [1, None]),
    (["a", "b"], ["a", ""]),
    (["a\0b", "\udcff"], ["\0", "x" * 1000]),
    ([None, 1.5], [2.5, "text"]),
    ([(1, 2, 3), (0, 0, 0)], [(1, 2, 4), (0, 0, 9)]),
    ([(1, 2), ()], [(1,), None]),
    ([(2**65,), (1,)], [(1,), (2**66,)]),
    ([1, 2], ["now", "text"]),
    ([True, 7], [False, 8]),
]


@pytest.mark.parametrize(("before", "now"), COLUMNS)
def test_a_column_of_any_values_comes_back(before: list[Value], now: list[Value]) -> None:
    for base in (None, before):
        out = Writer()
        out.column(now, base)
        data = Reader(bytes(out.data))
        assert list(data.column(len(now), base)) == now
        assert data.done()


def test_a_number_that_is_none_is_unknown() -> None:
    out = Writer()
    out.column([math.nan, math.inf, 1.0], None)
    assert list(Reader(bytes(out.data)).column(3, None)) == [None, None, 1.0]


def test_a_hook_that_was_not_read_is_the_same_as_before() -> None:
    first, second = Host(**SMALL).ticks(2)
    stalled = replace(second, samples={**second.samples, "drops": first.samples["drops"]})
    tape = Tape(catalogue())
    tape.add(first)
    tape.add(stalled)
    assert tape.at(1).samples["drops"] is tape.at(0).samples["drops"]
    assert "drops" not in tape.at(1).fresh(tape.at(0))
    assert "interfaces" in tape.at(1).fresh(tape.at(0))
    again = Tape(catalogue())
    again.add(first)
    assert "drops" not in tape.at(1).fresh(again.at(0)), "nor where they were decoded apart"


def test_any_moment_can_be_had_forth_and_back() -> None:
    ticks = list(Host(**SMALL).ticks(2 * KEY_EVERY + 5))
    tape = Tape(catalogue())
    for tick in ticks:
        tape.add(tick)
    last, key = len(ticks) - 1, KEY_EVERY
    around = (key + 10, key + 9, key + 8, key - 1, key, key + 1)
    for n in (0, last, 1, *around, *range(last, -1, -1), *range(last + 1)):
        _same(tape.at(n), ticks[n])
    for n in (-1, last + 1):
        with pytest.raises(IndexError):
            tape.at(n)


def test_it_is_bounded_by_seconds_and_by_bytes_and_numbers_stay() -> None:
    ticks = list(Host(**SMALL).ticks(200))
    by_time = Tape(catalogue(), seconds=60)
    by_size = Tape(catalogue(), most=20_000)
    for tick in ticks:
        by_time.add(tick)
        by_size.add(tick)
        assert by_size.bytes <= 20_000 or by_size.end - by_size.first <= 2 * KEY_EVERY
    assert by_time.end == by_size.end == 200
    assert 60 <= len(by_time) <= 60 + KEY_EVERY
    for tape in (by_time, by_size):
        _same(tape.at(tape.first), ticks[tape.first])
        _same(tape.at(199), ticks[199])
        with pytest.raises(IndexError):
            tape.at(tape.first - 1)


def _followed(ticks: Iterable[Tick]) -> list[dict[HookId, Snapshot]]:
    """What a screen had at each moment, that saw them all."""
    trails = {name: Trail(hook) for name, hook in catalogue().items()}
    return [
        {s.id: s for h, samples in t.samples.items() for s in trails[h].snapshots(samples)}
        for t in ticks
    ]


async def test_rates_and_the_window_are_at_once_what_they_were() -> None:
    ticks = [*await demo_ticks(90)]
    tape = Tape(catalogue())
    for tick in ticks:
        tape.add(tick)
    followed = _followed(ticks)
    for n in (0, 1, 5, 10, 11, 30, 60, 61, 72, 89, 88, 20):
        assert tape.snapshots(n) == followed[n]


async def test_what_counting_began_with_is_known_at_any_moment() -> None:
    ticks = await demo_ticks(30)
    later = [
        replace(t, samples={h: tuple(replace(s, epoch=9) for s in v) for h, v in t.samples.items()})
        for t in ticks[20:]
    ]
    ticks = [*ticks[:20], *later]
    tape = Tape(catalogue())
    since: dict[HookId, Sample] = {}
    expected = []
    for tick in ticks:
        tape.add(tick)
        remember(since, (s for v in tick.samples.values() for s in v))
        expected.append(dict(since))
    for n in (29, 3, 20, 19, 0, 25):
        assert tape.since(n) == expected[n]


async def test_the_moments_say_where_drops_failures_and_events_begin() -> None:
    tape = Tape(catalogue())
    for tick in await demo_ticks(110):
        tape.add(tick)
    marks = tape.marks()
    assert [m.text for m in marks if m.kind == "event"] == [
        "dropping on eth1: src 203.0.113.66",
        "no longer dropping on eth1: src 203.0.113.66",
    ]
    assert next(m.number for m in marks if m.kind == "drops") in range(23, 27)
    assert next(m.number for m in marks if m.kind == "failures") in range(26, 30)
    assert next(tape.near(START + 42.5), 0) == 42
    assert next(tape.near(0), 0) == 0
    assert next(tape.near(START + 10**6), 0) == 109


def test_a_tick_is_gathered_of_what_each_hook_s_worker_reads() -> None:
    gathering = Gathering()
    drops, sources = Status(HookId("drops"), State.ATTACHED), Status(HookId("sources", "eth0"))
    opens = Status(HookId("opens"))

    def read(status: Status, wall: float) -> tuple[Sample, ...]:
        return (Sample(status, wall, wall),)

    assert gathering.tick(1, (drops,)) is None
    gathering.add("drops", read(drops, 10))
    gathering.add("sources", read(sources, 11))
    assert not gathering.is_whole("opens", read(opens, 11), 4)
    assert gathering.is_whole("drops", read(drops, 11), 4), "it was read already"
    assert gathering.is_whole("opens", read(opens, 13), 4), "it is later by more than half a tick"
    first = gathering.tick(1, (drops, sources))
    assert first is not None
    assert (first.wall, [*first.samples]) == (11, ["drops", "sources"])
    assert not gathering.is_whole("drops", read(drops, 12), 4)
    gathering.add("drops", read(drops, 12))
    second = gathering.tick(1, (drops, sources))
    assert second is not None
    assert second.samples["sources"] is first.samples["sources"]
    gathering.add("drops", read(drops, 13))
    third = gathering.tick(1, (drops,))
    assert third is not None
    assert [*third.samples] == ["drops"]


def test_a_frame_that_begins_nowhere_is_refused() -> None:
    (_, _), (frame, _) = _frames(Host(**SMALL).ticks(2))
    with pytest.raises(Malformed, match="whole moment"):
        Decoder().decode(frame, key=False)
