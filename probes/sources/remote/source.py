"""The source that shows another host: an `ebpftop serve` there, over a pipe to ssh.

A connection that is cut is made again, with growing pauses. Counting starts over there: its epochs
differ from those before, so no rate is made across the cut. Hooks that only observe are attached
again; hooks in a data path and drop rules ended with the old connection, and are left for the user
to ask for again: they may be what cut us off.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Any

from probes.compile.bundle import Needs
from probes.custom import builder
from probes.drop_rule import DropRule
from probes.errors import ProbeError
from probes.hooks import catalogue
from probes.model import Enforced, Hook, HookId, Reach, Sample, State, Status
from probes.recording.codec import cells_for
from probes.recording.encoder import Tick
from probes.source import Feed, Host
from probes.sources.live import budget, memory, usage
from probes.sources.memory_keeper import MemoryKeeper
from probes.sources.remote import protocol
from probes.sources.remote.session import RemoteSession
from probes.sources.remote.ssh import SshCommand
from probes.sources.row_room import RowRoom

PING = 2.0
"""Seconds between two measurements of the round trip."""
PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
"""Seconds before each further try to connect again; the last one for all that follow."""
STEADY = 20.0
"""Seconds that a connection has to last for the pauses to start over."""
_MOST_WAITING, _MOST_TIMES = 32, 1 << 14
"""Readings of a hook that wait to be taken; hooks and targets whose last reading is known."""


class Remote:
    """A `model.Source`. way: how to reach the host; name: what the user calls it.

    The rest: as for `Live`, but done there. most: bytes of memory that may be used: of rows beyond
    it, the least active are left out, as in `Live`. keeper: keeps all hosts within it. feed: how
    its numbers come here. notices: what was said there at the end. words: gets what ssh says while
    it connects (a banner, a host key that is new), and a sentence where the ebpftop there has
    another version than this one. needs: what a bundle for that host has to be, if it has no bcc.
    """

    def __init__(
        self,
        way: SshCommand,
        *,
        interval: float = 1.0,
        also: Iterable[HookId] = (),
        pins: Mapping[str, str] | None = None,
        drops: Iterable[tuple[str, DropRule]] = (),
        observe_only: bool = False,
        percent: float | None = budget.DEFAULT,
        most: int = memory.DEFAULT,
        keeper: MemoryKeeper | None = None,
        version: str = "",
        words: Callable[[str], None] = lambda _: None,
        pauses: tuple[float, ...] = PAUSES,
    ) -> None:
        self.name = way.name
        self.host = Host(way.name, "")
        self.feed = Feed()
        self.notices: list[str] = []
        self._way, self._words, self._pauses = way, words, pauses
        self._cells = cells_for(most)
        self._memory = keeper or MemoryKeeper(most, usage.resident)
        self._room = RowRoom(self._memory.share())
        self._hooks = dict(catalogue())
        self._interval = interval
        self.needs: Needs | None = None
        self._version, self._version_there = version, version
        self._once = {
            "also": [protocol.named(id) for id in also],
            "drops": [f"{interface}: {rule}" for interface, rule in drops],
        }
        self._asked = {
            **self._once,
            "pins": dict(pins or {}),
            "observe_only": observe_only,
            "budget": percent,
        }
        self._calls = count()
        self._call: RemoteSession | None = None
        self._failed: ProbeError | None = None
        self._generation = self._tries = 0
        self._connected = time.monotonic()
        self._tick: Tick | None = None
        self._came = 0.0
        self._times: dict[HookId, float] = {}
        self._queues: dict[str, asyncio.Queue[tuple[Sample, ...]]] = {}
        self._again: dict[HookId, str | None] = {}
        self._off: set[HookId] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._holder: asyncio.Task[None] | None = None

    @property
    def catalogue(self) -> Mapping[str, Hook]:
        return self._hooks

    @property
    def interval(self) -> float:
        return self._interval

    @interval.setter
    def interval(self, seconds: float) -> None:
        self._interval = seconds
        if self._call is not None:
            self._call.tell(do="interval", seconds=seconds)

    # -- connecting ----------------------------------------------------------------------------

    async def connect(self) -> None:
        """Connect before there is a screen.

        Ssh may ask for a password, or whether a host key is right.

        Raises ProbeError where there is no ebpftop to talk to, or it cannot do what was asked.
        """
        await self._connect(self._way.first, ask=True)

    async def connect_anew(self) -> None:
        """Connect once more before there is a screen, as if for the first time."""
        call, self._call = self._call, None
        if call is not None:
            await call.end()
        self._asked |= self._once
        await self.connect()

    async def ping(self) -> None:
        """Keep the connection, which ends by silence. Raises ProbeError if it has ended."""
        await self._do(do="ping")

    def later(self, why: ProbeError) -> None:
        """Note that it cannot be reached now: once started, it is tried again and again."""
        self._failed = why

    async def start(self) -> None:
        if self._call is None and self._failed is None:
            await self.connect()
        loop = asyncio.get_running_loop()
        self._keeper = loop.create_task(self._keep())
        self._holder = loop.create_task(self._memory.keep())

    async def _connect(self, command: tuple[str, ...], *, ask: bool) -> None:
        self._generation += 1
        call = RemoteSession(
            self._way,
            command,
            self._hooks,
            builder.recalled,
            self._take,
            cells=self._cells,
            ask=ask,
            words=self._words,
        )
        try:
            hello = await call.begin(interval=self._interval, **self._asked)
        except BaseException:
            await call.end()
            raise
        self._call, self.host, self.needs = call, hello.host, hello.needs
        if self._version and hello.version != self._version_there:
            self._version_there = hello.version
            self._words(other_version(self.name, hello, self._version))
        # What may have cut us off is not done a second time.
        self._asked |= {"also": [], "drops": []}

    async def _keep(self) -> None:
        """Reconnect whenever the connection is cut."""
        while True:
            try:
                if self._call is None:
                    raise self._failed or ProbeError(f"{self._way.name} is not connected")
                await self._measure(self._call)
            except ProbeError as why:
                cut = why
            except Exception as unexpected:  # what comes from there ends nothing here
                cut = _unexpected(unexpected)
            try:
                await self._lost(cut)
            except Exception as unexpected:
                self._failed = _unexpected(unexpected)

    async def _measure(self, call: RemoteSession) -> None:
        while True:
            began = time.monotonic()
            await call.ask(do="ping")
            self.feed = Feed(time.monotonic() - began)
            await call.cut_within(PING)

    async def _lost(self, cut: ProbeError) -> None:
        """Reconnect, with growing pauses, until the host answers."""
        call, self._call = self._call, None
        since = time.monotonic()
        self.feed = Feed(None, cut.why, since)
        if call is not None:
            await call.end()
        if since - self._connected > STEADY:
            self._tries = 0
        while True:
            pause = self._pauses[min(self._tries, len(self._pauses) - 1)]
            self._tries += 1
            self.feed = Feed(None, self.feed.trouble, since, time.monotonic() + pause)
            await asyncio.sleep(pause)
            self.feed = replace(self.feed, again=0.0)
            try:
                await self._connect(self._way.again, ask=False)
            except ProbeError as failed:
                self.feed = Feed(None, failed.why, since)
                continue
            except OSError as failed:  # no process can be started at the moment
                self.feed = Feed(None, failed.strerror or type(failed).__name__, since)
                continue
            break
        self._connected = time.monotonic()
        self.feed = Feed()
        for id, rung in tuple(self._again.items()):
            with suppress(ProbeError):
                await self.attach(id, rung)
        for id in tuple(self._off):
            with suppress(ProbeError):
                await self.detach(id)

    # -- what comes ----------------------------------------------------------------------------

    def _take(self, tick: Tick) -> None:
        tick = self._room.tick(tick, self._hooks)
        before, self._tick, self._came = self._tick, tick, time.monotonic()
        for hook, samples in tick.fresh(before).items():
            # A moment may say no more of a hook than that one of its targets has gone.
            if all(self._times.get(s.status.id) == s.time for s in samples):
                continue
            self._times |= {s.status.id: s.time for s in samples}
            if (queue := self._queues.get(hook)) is not None:
                if queue.full():  # nobody takes them as fast as they come
                    queue.get_nowait()
                queue.put_nowait(tuple([self._apart(s) for s in samples]))
        if len(self._times) > _MOST_TIMES:  # what has gone there
            there = {s.status.id for known in tick.samples.values() for s in known}
            self._times = {id: time for id, time in self._times.items() if id in there}
            self._room = self._room.another()

    def _apart(self, sample: Sample) -> Sample:
        """Return an epoch that differs from any before this connection."""
        return replace(sample, epoch=(self._generation << 32) + sample.epoch)

    async def samples(self, hook: str) -> AsyncIterator[tuple[Sample, ...]]:
        queue = self._queues[hook] = asyncio.Queue(_MOST_WAITING)
        tick = self._tick
        if tick is not None and (first := tick.samples.get(hook)):
            yield tuple([self._apart(s) for s in first])
        while True:
            yield await queue.get()

    def statuses(self) -> tuple[Status, ...]:
        return self._tick.statuses if self._tick is not None else ()

    def rules(self) -> tuple[Enforced, ...]:
        """Return the rules, with their time running here, too.

        They are kept until something is known.
        """
        if self._tick is None:
            return ()
        since = time.monotonic() - self._came
        left = (replace(e, expires_in=e.expires_in - since) for e in self._tick.rules)
        return tuple(e for e in left if e.expires_in > 0 or e.rung is None)

    # -- at the user's request -------------------------------------------------------------------

    async def _do(self, **what: Any) -> tuple[str, ...]:
        if self._call is None:
            raise ProbeError(
                f"{self._way.name} is not connected", remedy="ebpftop is reconnecting."
            )
        return await self._call.ask(**what)

    async def attach(self, id: HookId, rung: str | None = None) -> Status:
        await self._do(do="attach", hook=protocol.named(id), rung=rung)
        hook = self._hooks.get(id.hook)
        if hook is not None and hook.reach is Reach.OBSERVES and hook.on_demand:
            self._again[id] = rung
        self._off.discard(id)
        return self._status(id)

    async def detach(self, id: HookId) -> Status:
        await self._do(do="detach", hook=protocol.named(id))
        self._again.pop(id, None)
        hook = self._hooks.get(id.hook)
        if hook is not None and hook.reach is Reach.OBSERVES and not hook.on_demand:
            self._off.add(id)
        return self._status(id)

    def _status(self, id: HookId) -> Status:
        return next((s for s in self.statuses() if s.id == id), Status(id, State.DETACHED))

    async def complete(self, text: str) -> tuple[str, str]:
        """Complete by the functions, tracepoints and files of that host."""
        try:
            found = await self._do(do="complete", text=text)
        except ProbeError:
            return text, ""
        return (found[0], found[1]) if len(found) == 2 else (text, "")

    async def add_rule(self, interface: str, rule: DropRule) -> Enforced:
        await self._do(do="add rule", interface=interface, rule=str(rule))
        for enforced in self.rules():
            if (enforced.interface, enforced.rule.what) == (interface, rule.what):
                return enforced
        raise ProbeError(f"{self._way.name} did not confirm the rule")

    async def cautions(self, interface: str, rule: DropRule) -> tuple[str, ...]:
        """Return the cautions about users who are logged in there, as this program is by ssh."""
        try:
            return await self._do(do="cautions", interface=interface, rule=str(rule))
        except ProbeError as why:  # an older ebpftop cannot tell
            host = self._way.name
            return (f"ebpftop cannot tell whether this may cut you off from {host}: {why.why}",)

    async def remove_rule(self, interface: str, rule: DropRule) -> None:
        await self._do(do="remove rule", interface=interface, rule=str(rule))

    @staticmethod
    def knob(name: str) -> None:
        del name  # nobody asks there for it

    @property
    def is_tight(self) -> bool:
        """Whether memory is short here: less of the past should be kept."""
        return self._memory.is_tight

    @staticmethod
    def process(pid: int) -> None:
        del pid  # nor for that

    async def close(self) -> None:
        """Say good-bye, and wait until everything is detached there."""
        tasks = [task for task in (self._keeper, self._holder) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        call, self._call = self._call, None
        if call is not None:
            self.notices += await call.end()


def other_version(name: str, there: protocol.Hello, here: str) -> str:
    """Return a sentence on an ebpftop of another version, and the hooks that only one of us has."""
    ours = catalogue().keys()
    unknown, missing = sorted(there.hooks - ours), sorted(ours - there.hooks)
    said = f"{name} runs ebpftop {there.version}, this is {here}"
    if missing:
        said += f"; not known there: {', '.join(missing)}"
    return f"{said}; not known here: {', '.join(unknown)}" if unknown else said


def _unexpected(error: Exception) -> ProbeError:
    return ProbeError(f"an internal error ({type(error).__name__})")
