"""The other side of `--remote`, in this process: a slow link, silence, and what does not stand."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

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
from tests.support.amounts import amounts

ROOT = Path(__file__).parents[3]


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


class Clock:
    """The demo's: it goes on when somebody says so."""

    def __init__(self) -> None:
        self._tick = asyncio.Event()

    async def pace(self, _: float) -> None:
        await self._tick.wait()

    def tick(self) -> None:
        self._tick.set()
        self._tick = asyncio.Event()


class Served(NamedTuple):
    """A source to one listener. writer: its own end."""

    listener: Listener
    task: asyncio.Task[int]
    serving: Serving
    writer: asyncio.StreamWriter

    def waiting(self) -> int:
        """Bytes that nobody has taken yet."""
        return self.writer.transport.get_write_buffer_size()


async def _until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0)


@asynccontextmanager
async def _served(source: Demo, check: Any = lambda: None) -> AsyncIterator[Served]:
    (there_in, here_out), (here_in, there_out) = os.pipe(), os.pipe()
    reader, writer = await server.streams(there_in, there_out)
    listener = Listener(*await server.streams(here_in, here_out))
    serving = Serving(source, reader, writer, "1")

    async def run() -> int:
        try:
            return await serving.run(7, check)
        finally:
            await source.close()
            await protocol.sent(writer)
            writer.close()

    task = asyncio.create_task(run())
    try:
        assert await listener.reader.readline() == b"ebpftop-wire/2\n"
        assert protocol.read_hello((await listener.message())[1])[0] == source.host
        yield Served(listener, task, serving, writer)
    finally:
        listener.writer.close()
        async with asyncio.timeout(60):
            await task


async def test_a_slow_link_loses_moments_but_no_log_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads for a while: what waits is bounded, and the log is whole afterwards."""
    monkeypatch.setattr(server, "BEHIND", 2000)
    monkeypatch.setattr(server, "TOGETHER", 0.0)
    clock = Clock()
    demo, now = Demo(interval=1.0, begin=50, pace=clock.pace), 50.0
    async with _served(demo) as served:
        listener, known = served.listener, served.serving._samples

        async def second() -> None:
            nonlocal now
            clock.tick()
            now += 1
            await _until(lambda: known["tcp-connect"][0].time == now and not served.serving._due)

        await _until(lambda: "tcp-connect" in known)
        listener.reader._transport.pause_reading()  # type: ignore[attr-defined]
        while served.waiting() <= server.BEHIND:
            await second()
        waiting = served.waiting()
        for _ in range(20):
            await second()
        assert served.waiting() == waiting
        listener.reader._transport.resume_reading()  # type: ignore[attr-defined]
        reading = asyncio.create_task(listener.moments())
        await _until(lambda: not served.waiting())
        await second()
        listener.writer.close()
        moments = await reading
    got, times, before = [], [], None
    for tick in moments:
        for sample in tick.fresh(before).get("tcp-connect", ()):
            got += sample.log
            times.append(sample.time)
        before = tick
    assert times[-1] == now
    assert max(b - a for a, b in pairwise(times)) > 20, "moments were left out"
    wanted = [e for second in range(50, int(now) + 1)
              for e in demo.sample(HookId("tcp-connect"), second).log]  # fmt: skip
    assert len(got) == len(wanted) > 20


async def _flooded(served: Served) -> None:
    """With requests, of which no answer is read, until no more of them are taken."""
    served.listener.reader._transport.pause_reading()  # type: ignore[attr-defined]
    here, asked = served.listener.writer, protocol.request(do="ping", id="x" * 100)
    while here.transport.get_write_buffer_size() < 1 << 17 or served.waiting() <= server.BEHIND:
        if here.transport.get_write_buffer_size() < 1 << 17:
            here.write(asked * 100)
        await asyncio.sleep(0)
    assert served.waiting() < 1 << 18


async def test_who_asks_and_does_not_read_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for it is bounded; when it has read nothing for long, that is the end."""
    monkeypatch.setattr(server, "BEHIND", 1 << 14)
    monkeypatch.setattr(server, "TOGETHER", 0.0)
    monkeypatch.setattr(protocol, "LAST_WORDS", 0.0)
    async with _served(Demo(interval=0.05)) as served:
        await _flooded(served)
        monkeypatch.setattr(protocol, "SILENCE", 0.0)
        async with asyncio.timeout(60):
            assert await served.task == 0
        served.listener.reader._transport.resume_reading()  # type: ignore[attr-defined]


async def test_who_goes_without_reading_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of what is asked is the end, also while nothing of it is taken."""
    monkeypatch.setattr(server, "BEHIND", 1 << 14)
    monkeypatch.setattr(protocol, "LAST_WORDS", 0.0)
    async with _served(Demo(interval=0.05)) as served:
        await _flooded(served)
        served.listener.writer.transport.abort()
        async with asyncio.timeout(protocol.SILENCE / 2):
            assert await served.task == 0
        served.listener.reader._transport.resume_reading()  # type: ignore[attr-defined]


async def test_a_beginning_without_an_end_is_said() -> None:
    reader = asyncio.StreamReader(limit=protocol.MOST_REQUEST)
    reader.feed_data(b'{"do": "begin", "also": [' + b'["xdp", "e"], ' * 10_000)
    with pytest.raises(Malformed, match="too long"):
        await server.begun(reader)


async def test_what_nobody_thought_of_is_answered_and_serving_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(*_: Any) -> Any:
        raise ZeroDivisionError("by \x1b[2J")

    demo = Demo(interval=0.1)
    monkeypatch.setattr(demo, "attach", broken)
    async with _served(demo) as (listener, task, *_):
        listener.writer.write(protocol.request(do="attach", hook=["xdp", "eth0"], rung=None, id=9))
        while True:
            kind, payload = await listener.message()
            told = protocol.read_json(payload) if kind == protocol.ANSWER else {}
            if told.get("id") == 9:
                break
        assert told["why"] == "the request failed there: ZeroDivisionError: by ?[2J"
        assert not task.done()


@pytest.mark.parametrize("id", [None, [1], {"a": 1}, "x" * 1000, 1.5, True])
async def test_an_id_may_be_anything_and_comes_back_only_as_a_number_or_a_word(id: object) -> None:
    message = protocol.answer(id)
    told = protocol.read_json(message[protocol.HEAD.size :])
    assert told["id"] is (id if id is True else None)


async def test_a_request_that_is_deep_ends_it() -> None:
    async with _served(Demo(interval=0.1)) as (listener, task, *_):
        listener.writer.write(b'{"do": "ping", "id": ' + b"[" * 500 + b"]" * 500 + b"}\n")
        assert await asyncio.wait_for(task, 60) == 0


async def test_silence_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks nothing for long is gone, though nobody says so: everything is detached."""
    monkeypatch.setattr(protocol, "SILENCE", 0.2)
    demo = Demo(interval=0.1)
    async with _served(demo) as (_, task, *_):
        assert await asyncio.wait_for(task, 60) == 0
        assert all(s.rung is None for s in demo.statuses())


async def test_what_cannot_be_begun_is_answered() -> None:
    def check() -> None:
        raise Gone("there is no interface eth9")

    async with _served(Demo(), check) as (listener, task, *_):
        kind, payload = await listener.message()
        assert kind == protocol.ANSWER
        told = protocol.read_json(payload)
        assert told["id"] == 7
        assert isinstance(protocol.read_error(told), Gone)
        assert await task == 1


async def test_a_line_without_end_ends_it() -> None:
    async with _served(Demo(interval=0.1)) as (listener, task, *_):
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


@amounts("tries", quick=40, slow=300)
@pytest.mark.parametrize("seed", [0, 1000])
def test_whatever_is_asked_is_answered_or_ends_it(seed: int, tries: int) -> None:
    """Requests of which something was changed, as values and as bytes."""
    words = "-m", "tests.support.hostile_remote", "asks", str(seed), str(seed + tries)
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, timeout=120)
