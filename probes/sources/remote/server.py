"""The other side of `--remote`: a source that sends moments to stdout and takes requests on stdin.

It ends with stdin, whatever the reason: then everything is detached.
"""

from __future__ import annotations

import asyncio
import os
import select
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from probes.compile.bundle import Needs
from probes.drop_rule import DropRule, RuleError, parse, parse_on
from probes.errors import ProbeError
from probes.model import HookId, Row, Sample, Status
from probes.recording.codec import Malformed
from probes.recording.encoder import Tick
from probes.source import Source
from probes.sources.live import budget
from probes.sources.remote import protocol
from probes.units import printable

TOGETHER = 0.05
"""Seconds in which the readings of several hooks are sent as one moment."""
WATCH = 0.5
"""Seconds between two looks at the statuses."""
BEHIND = 1 << 18
"""Bytes that may wait for a slow link before moments are left out; their log entries are not."""
MOST_ASKED = 16
"""Requests that are handled at the same time; further ones are read when one is done."""
_KEPT_LOG = 5000
SHORTEST, LONGEST = 0.1, 3600.0
"""Bounds of an interval, seconds."""


@dataclass(frozen=True, slots=True)
class Begin:
    """The first request: what to attach, as in the command line of the other side."""

    id: object = None
    interval: float = 1.0
    also: tuple[HookId, ...] = ()
    pins: Mapping[str, str] = field(default_factory=dict)
    drops: tuple[tuple[str, DropRule], ...] = ()
    observe_only: bool = False
    percent: float | None = budget.DEFAULT

    @classmethod
    def read(cls, asked: Mapping[str, Any]) -> Begin:
        """Return the request.

        Raises Malformed, or RuleError for a rule that this version does not know.
        """
        match asked:
            case {
                "do": "begin",
                "interval": float() | int() as interval,
                "also": list() as also,
                "pins": dict() as pins,
                "drops": list() as drops,
                "observe_only": bool() as observe_only,
            } if SHORTEST <= interval <= LONGEST:
                return cls(
                    asked.get("id"),
                    float(interval),
                    tuple(protocol.read_id(id) for id in also),
                    {str(hook): str(rung) for hook, rung in pins.items()},
                    tuple(parse_on(str(rule)) for rule in drops),
                    observe_only,
                    _budget(asked.get("budget", budget.DEFAULT)),
                )
        raise Malformed('the first request is not "begin"')


def _budget(asked: object) -> float | None:
    if asked is None:
        return None
    try:
        return budget.parse(str(asked))
    except ValueError as wrong:
        raise Malformed(str(wrong)) from None


async def begun(reader: asyncio.StreamReader) -> Begin | None:
    """Return the first request; None: nobody was there. Raises Malformed and RuleError."""
    try:
        async with asyncio.timeout(protocol.SILENCE):
            line = await reader.readline()
    except ValueError:
        raise Malformed("the request is too long") from None
    except (TimeoutError, ConnectionError):
        return None
    return Begin.read(protocol.read_json(line)) if line else None


class Serving:
    """The service of one source to one listener.

    version: ebpftop's own. needs: the bundle that this host, which has no bcc, lacks.
    """

    def __init__(
        self,
        source: Source,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        version: str,
        needs: Needs | None = None,
    ) -> None:
        self._source, self._reader, self._writer = source, reader, writer
        self._version, self._needs = version, needs
        self._out = protocol.Outgoing(source.catalogue)
        self._samples: dict[str, tuple[Sample, ...]] = {}
        self._logs: dict[HookId, list[Row]] = {}
        self._said: tuple[Status, ...] = ()
        self._due = False
        self._followed: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: BaseException | None = None
        self._asked = asyncio.Semaphore(MOST_ASKED)

    async def run(self, id: object, check: Callable[[], None]) -> int:
        """Serve until nobody is there any more. Return the exit status.

        id: of the request to begin. check: raises ProbeError where that cannot be.
        """
        self._writer.write(self._out.hello(self._source.host, self._version, self._needs))
        try:
            check()
        except ProbeError as refused:
            self._writer.write(protocol.answer(id, refused))
            return 1
        try:
            await self._source.start()
            self._writer.write(protocol.answer(id))
            self._follow_new()
            self._start(self._watch())
            await self._listen()
        finally:
            for task in self._tasks:
                task.cancel()
        if isinstance(self._failed, ProbeError):
            raise self._failed
        if self._failed is not None:
            raise ProbeError(f"serving ended: {_named(self._failed)}") from self._failed
        return 0

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed = self._failed or error
            self._reader.feed_eof()

    # -- what is said --------------------------------------------------------------------------

    def _follow_new(self) -> None:
        """Start one worker for each hook; users' own hooks may be added to the catalogue."""
        for hook in set(self._source.catalogue) - self._followed:
            self._followed.add(hook)
            self._start(self._follow(hook))

    async def _follow(self, hook: str) -> None:
        async for samples in self._source.samples(hook):
            self._samples[hook] = tuple([self._with_log(s) for s in samples])
            if not self._due:
                self._due = True
                self._start(self._soon())

    def _with_log(self, sample: Sample) -> Sample:
        """Return the reading with the log since the one that was sent last."""
        id = sample.status.id
        if not sample.log and not self._logs.get(id):
            return sample
        waiting = self._logs.setdefault(id, [])
        waiting += sample.log
        del waiting[:-_KEPT_LOG]
        return replace(sample, log=tuple(waiting))

    async def _soon(self) -> None:
        await asyncio.sleep(TOGETHER)
        self._due = False
        self._say()

    async def _watch(self) -> None:
        """Send what changes its status between two readings."""
        while True:
            await asyncio.sleep(WATCH)
            self._follow_new()
            if self._source.statuses() != self._said:
                self._say()

    def _say(self, *, surely: bool = False) -> None:
        """Send the present moment, unless the link has not yet taken the moments before."""
        if self._writer.transport.is_closing():
            self._reader.feed_eof()  # nobody reads any more
            return
        if not surely and self._writer.transport.get_write_buffer_size() > BEHIND:
            return
        source = self._source
        self._said = source.statuses()
        known = {s.id for s in self._said}
        for hook, samples in list(self._samples.items()):
            left = tuple([s for s in samples if s.status.id in known])
            if len(left) < len(samples):  # it does not stand any more
                self._samples[hook] = left
        tick = Tick(time.time(), source.interval, dict(self._samples), self._said, source.rules())
        self._writer.write(self._out.moment(tick))
        self._logs.clear()

    # -- what is asked -------------------------------------------------------------------------

    async def _listen(self) -> None:
        with suppress(TimeoutError, ValueError, Malformed, ConnectionError):
            while line := await self._line():
                asked = protocol.read_json(line)
                await self._taken()
                await self._asked.acquire()
                self._start(self._answer(asked))

    async def _line(self) -> bytes:
        await asyncio.sleep(0)  # what is there already is read without a turn for others
        async with asyncio.timeout(protocol.SILENCE):
            return await self._reader.readline()

    async def _taken(self) -> None:
        """Wait until the other side has read what waits for it, before it is answered.

        Raises TimeoutError where it has read nothing for as long as it may be silent, or has gone.
        """
        waits, transport = time.monotonic(), self._writer.transport
        least = transport.get_write_buffer_size()
        while (size := transport.get_write_buffer_size()) > BEHIND:
            if size < least:
                least, waits = size, time.monotonic()
            elif (
                time.monotonic() - waits > protocol.SILENCE
                or transport.is_closing()
                or self._hung_up()
            ):
                raise TimeoutError
            await asyncio.sleep(TOGETHER)

    def _hung_up(self) -> bool:
        """Return whether nobody will ask any more, though there may be more to read."""
        pipe = vars(self._reader).get("_transport")
        if pipe is None or pipe.is_closing():
            return self._reader.at_eof()
        poll = select.poll()
        poll.register(pipe.get_extra_info("pipe"), select.POLLRDHUP)
        return bool(poll.poll(0))

    async def _answer(self, asked: dict[str, Any]) -> None:
        try:
            await self._answered(asked)
        finally:
            self._asked.release()

    async def _answered(self, asked: dict[str, Any]) -> None:
        error: ProbeError | RuleError | None = None
        result: tuple[str, ...] = ()
        try:
            result = await self._do(asked)
        except (ProbeError, RuleError) as refused:
            error = refused
        except Malformed as wrong:
            error = ProbeError(str(wrong))
        except Exception as unexpected:  # what is asked may be anything, and ends nothing here
            error = ProbeError(f"the request failed there: {_named(unexpected)}")
        if asked.get("do") != "ping":
            self._say(surely=True)
        self._writer.write(protocol.answer(asked.get("id"), error, result))

    async def _do(self, asked: dict[str, Any]) -> tuple[str, ...]:
        source = self._source
        match asked:
            case {"do": "ping"}:
                pass
            case {"do": "interval", "seconds": float() | int() as seconds} if (
                SHORTEST <= seconds <= LONGEST
            ):
                source.interval = float(seconds)
            case {"do": "attach", "hook": list() as id, "rung": str() | None as rung}:
                await source.attach(protocol.read_id(id), rung)
                self._follow_new()
            case {"do": "detach", "hook": list() as id}:
                await source.detach(protocol.read_id(id))
            case {"do": "complete", "text": str(text)}:
                return await source.complete(text)
            case {"do": "add rule", "interface": str(interface), "rule": str(rule)}:
                await source.add_rule(interface, parse(rule))
            case {"do": "cautions", "interface": str(interface), "rule": str(rule)}:
                return await source.cautions(interface, parse(rule))
            case {"do": "remove rule", "interface": str(interface), "rule": str(rule)}:
                await source.remove_rule(interface, parse(rule))
            case _:
                raise ProbeError("the ebpftop there does not know this request")
        return ()


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {printable(str(error))[:200]}"


async def streams(stdin: int, stdout: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return streams of two fds, which are closed with them.

    Raises ValueError where they are no pipes or sockets.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=protocol.MOST_REQUEST)
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(stdin, "rb", 0)
    )
    transport, flow = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(stdout, "wb", 0)
    )
    return reader, asyncio.StreamWriter(transport, flow, None, loop)
