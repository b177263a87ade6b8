"""The source that plays a recording: the same samples again, at any pace, from any moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from probes.drop_rule import DropRule
from probes.errors import Unsupported
from probes.model import Enforced, Hook, HookId, Sample, Status
from probes.recording.codec import Malformed
from probes.recording.encoder import Tick
from probes.recording.reader import Recording
from probes.recording.writer import RecordingError, name_of
from probes.sources.memory_keeper import MemoryKeeper

SLOWEST, FASTEST = 0.1, 60.0
_LONGEST = 5.0
"""Seconds that a moment is shown, at most: a recording has nothing of a longer gap."""


class Replay:
    """A `model.Source`. recording: closed with it. begin: the first moment. speed: a factor.

    pace: waits for the given seconds; another than `asyncio.sleep` sets the pace. keeper: keeps
    the recording's rows within the memory that there is. number: the moment that is played.
    Unreadable moments are skipped, and `skipped` says so. Raises RecordingError where nothing can
    be read.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        begin: int = 0,
        speed: float = 1.0,
        pace: Callable[[float], Awaitable[None]] | None = None,
        keeper: MemoryKeeper | None = None,
    ) -> None:
        self.timeline = recording
        self.host = replace(recording.host, privilege="")
        self.speed = speed
        self.paused = False
        self.skipped = self._why = ""
        self._end = recording.end
        found = self._readable(begin)
        if found is None:
            nothing = f"{name_of(recording.path)}: nothing from that time can be read"
            raise RecordingError(f"{nothing}: {self._why}")
        self.number, self._tick = found
        self._pace, self._memory = pace or self._sleep, keeper
        self._sought = False
        self._changed = asyncio.Event()
        self._queues: dict[str, asyncio.Queue[tuple[Sample, ...]]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def catalogue(self) -> Mapping[str, Hook]:
        return self.timeline.hooks

    @property
    def interval(self) -> float:
        return self._tick.interval

    @interval.setter
    def interval(self, _: float) -> None:
        """Keep the recorded interval; `speed` makes it faster."""

    @property
    def ended(self) -> bool:
        """Return whether this is the last moment."""
        return self.number + 1 >= self._end

    def statuses(self) -> tuple[Status, ...]:
        return self._tick.statuses

    def rules(self) -> tuple[Enforced, ...]:
        return self._tick.rules

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._play())]
        if self._memory is not None:
            self._tasks.append(loop.create_task(self._memory.keep()))

    async def samples(self, hook: str) -> AsyncIterator[tuple[Sample, ...]]:
        """Yield the samples of the moment that is played, then of each that follows.

        Not those of a moment that `seek` went to: its caller has them.
        """
        queue = self._queues[hook] = asyncio.Queue()
        first = self._tick.samples.get(hook)
        if first is not None and not self._sought:
            yield first
        while True:
            yield await queue.get()

    async def _play(self) -> None:
        while True:
            while self.paused or self.ended:
                self._changed.clear()
                await self._changed.wait()
            at = self.number
            self._changed.clear()
            await self._pace(self._gap() / self.speed)
            if not (self.paused or self._changed.is_set()) and self.number == at:
                self.step()
            while not all(queue.empty() for queue in self._queues.values()):
                await asyncio.sleep(0)  # everything is taken before time goes on

    async def _sleep(self, seconds: float) -> None:
        """Sleep, or less if something else is asked for."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    def _gap(self) -> float:
        """Return the seconds to the next moment."""
        passed = self.timeline.clock(self.number + 1) - self.timeline.clock(self.number)
        return min(max(passed, 0.01), _LONGEST)

    def step(self) -> None:
        """Go a moment on."""
        if self.ended:
            return
        before = self._tick
        self._to(self.number + 1)
        for hook, samples in self._tick.fresh(before).items():
            if (queue := self._queues.get(hook)) is not None:
                queue.put_nowait(samples)

    def seek(self, number: int) -> None:
        """Go to another moment, at once: nothing of it is given to consumers of `samples`."""
        for queue in self._queues.values():
            while not queue.empty():
                queue.get_nowait()
        self._to(min(max(number, self.timeline.first), self.timeline.end - 1))
        self._sought = True
        self._changed.set()

    def play(self, *, paused: bool | None = None, speed: float | None = None) -> None:
        self.paused = self.paused if paused is None else paused
        self.speed = self.speed if speed is None else min(max(speed, SLOWEST), FASTEST)
        self._changed.set()

    def _to(self, number: int) -> None:
        """Go to that moment, or to one that can be read."""
        self.skipped, end = "", self.timeline.end
        self.timeline.look_on()
        self._end = self.timeline.end if self._end == end else min(self._end, self.timeline.end)
        number = min(number, self.timeline.end - 1)
        self.number, self._tick = self._readable(number) or (self.number, self._tick)

    def _readable(self, number: int) -> tuple[int, Tick] | None:
        """Return that moment, else the next that can be read, else the last before it."""
        try:
            return number, self.timeline.at(number)
        except Malformed as damaged:
            self._why = str(damaged)
            self.skipped = f"cannot be read: {damaged}"
        found = self.timeline.readable_near(number)
        if found is None or found[0] < number:
            self._end = number  # nothing is readable from there on
        return found

    async def attach(self, id: HookId, rung: str | None = None) -> Status:
        del id, rung
        raise Unsupported("this is a recording: nothing can be attached")

    async def complete(self, text: str) -> tuple[str, str]:
        return text, ""  # what could be attached there is not in a recording

    async def detach(self, id: HookId) -> Status:
        del id
        raise Unsupported("this is a recording: nothing can be detached")

    async def add_rule(self, interface: str, rule: DropRule) -> Enforced:
        del interface, rule
        raise Unsupported("this is a recording: nothing can be dropped")

    async def cautions(self, interface: str, rule: DropRule) -> tuple[str, ...]:
        del interface, rule
        return ()

    async def remove_rule(self, interface: str, rule: DropRule) -> None:
        del interface, rule
        raise Unsupported("this is a recording: its rules cannot be ended")

    @staticmethod
    def knob(name: str) -> None:
        del name  # what it is now says nothing of then

    @staticmethod
    def process(pid: int) -> None:
        del pid  # another process may have that number now

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self.timeline.close()
