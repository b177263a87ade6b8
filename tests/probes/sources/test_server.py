"""The other side of `--remote`, in this process: a slow link, silence, and what does not stand."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from probes.drop_rule import RuleError, parse_on
from probes.errors import Gone
from probes.hooks import catalogue
from probes.model import HookId
from probes.recording.codec import Malformed
from probes.recording.encoder import Tick
from probes.sources.demo.source import Demo
from probes.sources.remote import protocol, server
from probes.sources.remote.server import Begin, Serving


class Listener:
    """This end of the pipes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._incoming = protocol.Incoming(catalogue())

    async def message(self) -> tuple[bytes, bytes]:
        head = await self.reader.readexactly(protocol.HEAD.size)
        kind, length = protocol.HEAD.unpack(head)
        return kind, await self.reader.readexactly(length)

    async def moments(self) -> list[Tick]:
        """All that come until the end."""
        found = []
        try:
            while True:
                kind, payload = await self.message()
                if kind == protocol.MOMENT:
                    found.append(self._incoming.moment(payload))
        except asyncio.IncompleteReadError:
            return found


@asynccontextmanager
async def _served(
    source: Demo, check: Any = lambda: None
) -> AsyncIterator[tuple[Listener, asyncio.Task[int]]]:
    (there_in, here_out), (here_in, there_out) = os.pipe(), os.pipe()
    reader, writer = await server.streams(there_in, there_out)
    listener = Listener(*await server.streams(here_in, here_out))

    async def run() -> int:
        try:
            return await Serving(source, reader, writer, "1").run(7, check)
        finally:
            await source.close()
            await protocol.sent(writer)
            writer.close()

    task = asyncio.create_task(run())
    try:
        assert await listener.reader.readline() == b"ebpftop-wire/2\n"
        assert protocol.read_hello((await listener.message())[1])[0] == source.host
        yield listener, task
    finally:
        listener.writer.close()
        async with asyncio.timeout(60):
            await task


async def test_a_slow_link_loses_moments_but_no_log_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads for a while: what waits is bounded, and the log is whole afterwards."""
    monkeypatch.setattr(server, "BEHIND", 2000)
    demo = Demo(interval=0.05, begin=50)
    async with _served(demo) as (listener, _):
        listener.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(1.5)
        listener.reader._transport.resume_reading()  # type: ignore[attr-defined]
        reading = asyncio.create_task(listener.moments())
        await asyncio.sleep(0.3)
        listener.writer.close()
        moments = await reading
    got, times, before = [], [], None
    for tick in moments:
        for sample in tick.fresh(before).get("tcp-connect", ()):
            got += sample.log
            times.append(sample.time)
        before = tick
    steps = [b - a for a, b in pairwise(times)]
    assert max(steps) > 0.09, "the link was slow"
    wanted, now = list[object](), 50.0
    while now <= times[-1]:  # as the demo's clock goes
        wanted += demo.sample(HookId("tcp-connect"), now).log
        now += 0.05
    assert len(got) == len(wanted)
    assert len(got) > 20


async def test_who_asks_and_does_not_read_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for it is bounded; when it has read nothing for long, that is the end."""
    made: list[asyncio.StreamWriter] = []
    streams = server.streams

    async def noted(*fds: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await streams(*fds)
        made.append(writer)
        return reader, writer

    monkeypatch.setattr(server, "streams", noted)
    monkeypatch.setattr(server, "BEHIND", 1 << 14)
    async with _served(Demo(interval=0.05)) as (listener, task):
        monkeypatch.setattr(protocol, "SILENCE", 1.0)
        listener.reader._transport.pause_reading()  # type: ignore[attr-defined]
        most = 0
        async with asyncio.timeout(60):
            while not task.done():
                for _ in range(200):
                    listener.writer.write(protocol.request(do="complete", text="x", id=1))
                await asyncio.sleep(0.05)
                if not made[0].transport.is_closing():
                    most = max(most, made[0].transport.get_write_buffer_size())
                if listener.writer.transport.get_write_buffer_size() > 1 << 20:
                    break
            assert await task == 0
        assert 0 < most < 1 << 21
        listener.reader._transport.resume_reading()  # type: ignore[attr-defined]


async def test_what_nobody_thought_of_is_answered_and_serving_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(*_: Any) -> Any:
        raise ZeroDivisionError("by \x1b[2J")

    demo = Demo(interval=0.1)
    monkeypatch.setattr(demo, "attach", broken)
    async with _served(demo) as (listener, task):
        listener.writer.write(protocol.request(do="attach", hook=["xdp", "eth0"], rung=None, id=9))
        while True:
            kind, payload = await listener.message()
            told = protocol.read_json(payload) if kind == protocol.ANSWER else {}
            if told.get("id") == 9:
                break
        assert told["why"] == "it could not be done there: ZeroDivisionError: by ?[2J"
        assert not task.done()


@pytest.mark.parametrize("id", [None, [1], {"a": 1}, "x" * 1000, 1.5, True])
async def test_an_id_may_be_anything_and_comes_back_only_as_a_number_or_a_word(id: object) -> None:
    message = protocol.answer(id)
    told = protocol.read_json(message[protocol.HEAD.size :])
    assert told["id"] is (id if id is True else None)


async def test_a_request_that_is_deep_ends_it() -> None:
    async with _served(Demo(interval=0.1)) as (listener, task):
        listener.writer.write(b'{"do": "ping", "id": ' + b"[" * 500 + b"]" * 500 + b"}\n")
        assert await asyncio.wait_for(task, 60) == 0


async def test_silence_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks nothing for long is gone, though nobody says so: everything is detached."""
    monkeypatch.setattr(protocol, "SILENCE", 0.2)
    demo = Demo(interval=0.1)
    async with _served(demo) as (_, task):
        assert await asyncio.wait_for(task, 60) == 0
        assert all(s.rung is None for s in demo.statuses())


async def test_what_cannot_be_begun_is_answered() -> None:
    def check() -> None:
        raise Gone("there is no interface eth9")

    async with _served(Demo(), check) as (listener, task):
        kind, payload = await listener.message()
        assert kind == protocol.ANSWER
        told = protocol.read_json(payload)
        assert told["id"] == 7
        assert isinstance(protocol.read_error(told), Gone)
        assert await task == 1


async def test_a_line_without_end_ends_it() -> None:
    async with _served(Demo(interval=0.1)) as (listener, task):
        listener.writer.write(b"x" * (protocol.MOST_REQUEST * 4))
        assert await asyncio.wait_for(task, 60) == 0


@pytest.mark.parametrize("line", [b"[]", b"x", b"{}", b'{"do":"ping"}', b"[" * 60000])
async def test_who_does_not_begin_is_told_nothing(line: bytes) -> None:
    reader = asyncio.StreamReader(limit=protocol.MOST_REQUEST)
    reader.feed_data(line + b"\n")
    with pytest.raises(Malformed):
        await server.begun(reader)


async def test_how_it_begins() -> None:
    asked = {
        "do": "begin", "id": 1, "interval": 2, "also": [["xdp", "eth0"]],
        "pins": {"drops": "counters"}, "drops": ["eth0: udp dport 53 ttl 5m"],
        "observe_only": False, "percent": 5,
    }  # fmt: skip
    reader = asyncio.StreamReader()
    reader.feed_data(protocol.request(**asked))
    begin = await server.begun(reader)
    assert begin == Begin(
        1, 2.0, (HookId("xdp", "eth0"),), {"drops": "counters"},
        (parse_on("eth0: udp dport 53 ttl 5m"),), False, 5,
    )  # fmt: skip
    for budget, percent in ((2.5, 2.5), (None, None)):
        reader.feed_data(protocol.request(**(asked | {"budget": budget})))
        told = await server.begun(reader)
        assert told is not None
        assert told.percent == percent
    reader.feed_data(protocol.request(**(asked | {"budget": "much"})))
    with pytest.raises(Malformed, match="is not a budget"):
        await server.begun(reader)
    reader.feed_data(protocol.request(**(asked | {"drops": ["nonsense"]})))
    with pytest.raises(RuleError):
        await server.begun(reader)
    reader.feed_eof()
    assert await server.begun(reader) is None
