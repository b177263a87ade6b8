"""Conversations in which one side means harm: what asks an `ebpftop serve`, and what answers a
`--remote`. Each is one of sound messages of which some were changed.

    python -m tests.support.hostile_remote asks|answers FIRST LAST    seeds

Run as a process of its own, in little memory: whatever goes wrong there is an exit status.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from types import SimpleNamespace
from typing import Any

from bench.busy_host import Host as BusyHost
from probes.analysis.snapshot import Trail
from probes.drop_rule import RuleError, parse
from probes.errors import ProbeError
from probes.hooks import catalogue
from probes.model import HookId, Refusal
from probes.recording.codec import Malformed
from probes.recording.encoder import Encoder, Tick
from probes.sources.demo.source import Demo
from probes.sources.remote import protocol, server, session
from probes.sources.remote.server import Begin, Serving
from probes.sources.remote.source import Remote
from probes.sources.remote.ssh import SshCommand
from probes.units import printable
from tests.support.hostile import HARM, MEMORY, mutated, spoiled
from tests.support.recordings import demo_ticks

Make = Callable[[random.Random], Any]

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 1e308, float("nan"), float("inf"), 10**400, -(10**30), 2**63,
    "", HARM, "x" * 5000, "a\0b", "../../etc/passwd", "\ud800", [], {}, [[]], {"": None},
    ["xdp", "eth0"], ["drops", None], [None, None], [HARM, HARM],
)  # fmt: skip
"""What may stand wherever something is asked for."""
HOOKS: tuple[Any, ...] = (
    ["xdp", "eth0"], ["xdp", "lo"], ["xdp", "nope"], ["drops", None], ["drops", "eth0"],
    ["sources", "eth1"], ["nosuch", None], ["kprobe:vfs_read,by=comm", None], ["interfaces", None],
    ["uprobe:/bin/sh:main", None], [f"kprobe:{HARM}", None], ["xdp", HARM],
)  # fmt: skip
RULES = (
    "udp dport 53 ttl 5m", "src 10.0.0.0/8", "src ::1", "ttl 1s", "tcp", "src nowhere",
    "dport 99999", "udp dport -1", "ttl 1e400", HARM, "src 1.2.3.4/99", "",
)  # fmt: skip


def _requests() -> tuple[Make, ...]:
    return (
        lambda _: {"do": "ping"},
        lambda dice: {"do": "interval", "seconds": dice.choice((0.1, 1, 3600, 0.01, *ODD))},
        lambda dice: {"do": "attach", "hook": dice.choice(HOOKS), "rung": dice.choice((None, "x"))},
        lambda dice: {"do": "detach", "hook": dice.choice(HOOKS)},
        lambda dice: {"do": "complete", "text": dice.choice(("kp", *ODD))},
        *(
            lambda dice, do=do: {
                "do": do, "interface": dice.choice(("eth0", "lo", *ODD)),
                "rule": dice.choice(RULES),
            }
            for do in ("add rule", "cautions", "remove rule")
        ),
    )  # fmt: skip


def _begin(dice: random.Random) -> dict[str, Any]:
    return {
        "do": "begin", "id": dice.choice((1, *ODD)), "interval": dice.choice((0.2, 1, 3600)),
        "also": dice.choices(HOOKS, k=dice.randrange(3)), "pins": {"drops": "counters"},
        "drops": [f"eth0: {rule}" for rule in dice.choices(RULES, k=dice.randrange(2))],
        "observe_only": dice.random() < 0.5, "budget": dice.choice((5, None, "off", "2%")),
    }  # fmt: skip


def _changed(asked: dict[str, Any], dice: random.Random) -> bytes:
    """As a line; most are what they should be."""
    how = dice.randrange(24)
    if how == 0:
        asked[dice.choice([*asked, "x"])] = dice.choice(ODD)
    elif how == 1:
        del asked[dice.choice([*asked])]
    line = json.dumps(asked).encode() + b"\n"
    if how == 2:
        return mutated(line, dice)
    if how == 3:
        deep = dice.choice((10, 100, 5000))
        return line[:-2] + b', "x": ' + b"[" * deep + b"]" * deep + b"}\n"
    return line


# -- what asks -------------------------------------------------------------------------------


class _Writer:
    """What was said, and nobody reads."""

    def __init__(self) -> None:
        self.said = bytearray()
        self.transport = self

    def write(self, data: bytes) -> None:
        self.said += data

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


async def _no_time(_: float) -> None:
    for _ in range(10):
        await _SLEEP(0)


async def asks(seed: int) -> int:
    """How many requests were answered."""
    dice = random.Random(seed)
    reader = asyncio.StreamReader(limit=protocol.MOST_REQUEST)
    reader.feed_data(_changed(_begin(dice), dice))
    try:
        begin = await server.begun(reader)
    except (Malformed, RuleError):
        return 0
    assert begin is None or isinstance(begin, Begin)
    hooks = {n: h for n, h in catalogue().items() if n in ("xdp", "drops", "sources", "interfaces")}
    demo, writer = Demo(interval=0.2, hooks=hooks, pace=_no_time), _Writer()
    serving = Serving(demo, reader, writer, "1")  # type: ignore[arg-type]
    work = asyncio.create_task(serving.run(begin.id if begin else 1, lambda: None))
    requests = _requests()
    sent = 0
    for _ in range(dice.randrange(1, 12)):
        asked = dice.choice(requests)(dice) | {"id": dice.choice((sent, *ODD))}
        reader.feed_data(_changed(asked, dice))
        sent += 1
        await _SLEEP(0)
    for _ in range(6):
        await _no_time(0)
    reader.feed_eof()
    async with asyncio.timeout(20):
        assert await work in (0, 1)
    await demo.close()
    return _answers_in(bytes(writer.said), sent + 1)


def _answers_in(said: bytes, most: int) -> int:
    line, _, rest = said.partition(b"\n")
    assert line == b"ebpftop-wire/2"
    incoming, answers = protocol.Incoming(dict(catalogue())), 0
    while rest:
        kind, length = protocol.HEAD.unpack_from(rest)
        payload, rest = rest[5 : 5 + length], rest[5 + length :]
        assert len(payload) == length < protocol.MOST_TOLD
        if kind == protocol.MOMENT:
            incoming.moment(payload)
        else:
            told = protocol.read_json(payload)
            if kind == protocol.ANSWER:
                protocol.read_error(told)
                protocol.read_result(told)
                answers += 1
    assert answers <= most
    return answers


# -- what answers ----------------------------------------------------------------------------


def _sound() -> list[list[tuple[bytes, bytes]]]:
    """Conversations as messages: kind, and what is in it before it is compressed."""
    found = []
    for ticks in (
        list(map(spoiled, asyncio.run(demo_ticks(5, 39)))), list(BusyHost(12, 2).ticks(5)),
    ):  # fmt: skip
        encoder = Encoder(catalogue())
        frames = [encoder.encode(tick, key=not n) for n, tick in enumerate(ticks)]
        found.append([(protocol.MOMENT, frame) for frame in frames])
    return found


def _hello(dice: random.Random) -> bytes:
    told = {
        "host": f"web1{HARM}", "kernel": HARM, "privilege": HARM, "demo": False, "version": HARM,
        "hooks": list(catalogue()),
    }  # fmt: skip
    return _changed(told, dice) if dice.random() < 0.3 else json.dumps(told).encode()


def _answer(dice: random.Random, id: object) -> bytes:
    told: dict[str, Any] = {"id": id, "result": dice.choice(([], [HARM], ["a", "b"], *ODD))}
    if dice.random() < 0.3:
        told["error"] = dice.choice(("Busy", "RuleError", "annotations", "__doc__", *ODD))
        told["why"], told["remedy"] = dice.choice(ODD), dice.choice(ODD)
        told["errno"] = dice.choice((16, 10**300, *ODD))
    return _changed(told, dice) if dice.random() < 0.3 else json.dumps(told).encode()


def conversation(dice: random.Random, sound: list[list[tuple[bytes, bytes]]]) -> bytes:
    """All that is said, whatever is asked."""
    begun = _answer(dice, 1) if dice.random() < 0.1 else b'{"id": 1, "result": []}'
    messages = [(protocol.HELLO, _hello(dice)), (protocol.ANSWER, begun)]
    for kind, raw in dice.choice(sound):
        messages.append((kind, mutated(raw, dice) if dice.random() < 0.15 else raw))
        ids = range(2, 2 + dice.randrange(3))
        messages += [(protocol.ANSWER, _answer(dice, id)) for id in ids]
    if dice.random() < 0.2:
        dice.shuffle(messages)
    if dice.random() < 0.2:
        messages.insert(dice.randrange(len(messages)), dice.choice(messages))
    said, deflate = b"ebpftop-wire/2\n", zlib.compressobj(1, zlib.DEFLATED, -15)
    for kind, data in messages:
        if kind == protocol.MOMENT:
            size = len(data) if dice.random() < 0.97 else dice.choice((0, 1, 1 << 25, 0xFFFFFFFF))
            data = size.to_bytes(4, "little") + deflate.compress(data)
            data += deflate.flush(zlib.Z_SYNC_FLUSH)
        length = len(data) if dice.random() < 0.98 else dice.choice((0, 1, 1 << 20, 0xFFFFFFFF))
        said += protocol.HEAD.pack(kind, length) + data
    return mutated(said, dice) if dice.random() < 0.15 else said


class _Process:
    """As much of a process as is used, that says what it was given."""

    def __init__(self, said: bytes, words: bytes) -> None:
        self.stdout, self.stderr = asyncio.StreamReader(limit=1 << 20), asyncio.StreamReader()
        self.stdout.feed_data(said)
        self.stderr.feed_data(words)
        self.stdout.feed_eof()
        self.stderr.feed_eof()
        self.returncode: int | None = 0
        self.stdin = SimpleNamespace(
            transport=_Writer(), write=lambda _: None, close=lambda: None, wait_closed=self.wait
        )
        self._transport = SimpleNamespace(close=lambda: None)

    async def wait(self) -> int:
        return 0

    def kill(self) -> None: ...

    terminate = kill


def texts(value: object) -> Iterator[str]:
    """Every text that is anywhere in it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for pair in value.items():
            yield from texts(list(pair))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from texts(one)
    elif isinstance(value, Refusal):  # a verifier's words keep their lines
        yield from (value.rung, value.error, value.why, value.remedy, *value.log.splitlines())
    elif is_dataclass(value):
        for field in fields(value):
            yield from texts(getattr(value, field.name))


def _check(*values: object) -> None:
    for text in texts(list(values)):
        assert printable(text) == text, f"{text!r} is for no terminal"


async def answers(seed: int, sound: list[list[tuple[bytes, bytes]]]) -> int:
    """How many moments came."""
    dice = random.Random(seed)
    said, words = conversation(dice, sound), f"{HARM}\n".encode(errors="replace") * 3

    async def started(*_: object, **__: object) -> _Process:
        return _Process(said, words)

    asyncio.create_subprocess_exec = started  # type: ignore[assignment]
    heard: list[str] = []
    remote = Remote(SshCommand("web1", ("x",), ("x",)), words=heard.append, pauses=(1000.0,))
    came: list[Tick] = []
    take = remote._take
    remote._take = lambda tick: (came.append(tick), take(tick))[1]  # type: ignore[assignment, func-returns-value]
    trails = {name: Trail(hook) for name, hook in remote.catalogue.items()}

    async def follow(hook: str) -> None:
        async for samples in remote.samples(hook):
            _check(list(samples))
            for snapshot in trails[hook].snapshots(samples):
                _check(snapshot.id)

    tasks = [asyncio.create_task(follow(hook)) for hook in trails]
    try:
        await remote.connect()
        await remote.start()
        for _ in range(3):
            for asked in (
                remote.attach(HookId("xdp", "eth0")), remote.add_rule("eth0", parse("udp ttl 5m")),
                remote.complete("kp"), remote.cautions("eth0", parse("udp")),
            ):  # fmt: skip
                try:
                    _check(await asked)
                except ProbeError as refused:
                    _check(str(refused), refused.remedy)
                except RuleError as refused:
                    assert "rule" in asked.__qualname__
                    _check(str(refused))
        for _ in range(200):
            if remote.feed.trouble:
                break
            await _SLEEP(0)
        assert remote._keeper is not None
        assert not remote._keeper.done(), "nobody connects again"
    except ProbeError as refused:
        _check(refused.why, refused.remedy)
    finally:
        for task in tasks:
            task.cancel()
        for done in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(done, asyncio.CancelledError), done
        await remote.close()
    _check(remote.host, remote.statuses(), remote.rules(), remote.feed, remote.notices, heard)
    _check(list(remote.catalogue))
    return len(came)


_SLEEP = asyncio.sleep


async def _soon(seconds: float, *_: object) -> None:
    await _SLEEP(min(seconds, 0.0))


def main(kind: str, first: int, last: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    server.TOGETHER = server.WATCH = 0.001
    session.LEAVING = protocol.SILENCE = 0.05
    asyncio.sleep = _soon
    sound = _sound() if kind == "answers" else []
    loop, found, slowest = asyncio.new_event_loop(), 0, 0.0
    loop.set_exception_handler(_unhandled)
    for seed in range(first, last):
        begin = time.process_time()
        try:
            work = answers(seed, sound) if kind == "answers" else asks(seed)
            found += loop.run_until_complete(work)
        except BaseException:
            print("seed", seed, flush=True)
            raise
        slowest = max(slowest, time.process_time() - begin)
        left = [t for t in asyncio.all_tasks(loop) if not t.done()]
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=1))
        assert not asyncio.all_tasks(loop), f"seed {seed}: {asyncio.all_tasks(loop)}"
    print(found, "in", last - first, f"the slowest {slowest:.2f} s", flush=True)


def _unhandled(_: object, context: dict[str, Any]) -> None:
    print("unhandled:", context, flush=True)
    os._exit(3)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    os._exit(0)
