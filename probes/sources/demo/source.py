"""The source that needs no kernel and no privilege: a scripted incident that repeats itself.

Two minutes of virtual time: calm; then eth1 is flooded, of which another owner's XDP program drops
a part and a full socket another; a database refuses connects and later does not answer at all,
system calls fail with it, and one connection's round trip climbs; a rule drops the worst sender,
and all of it recovers. The numbers depend on the seed and the virtual time only, never on the
clock.
"""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from weakref import WeakSet

from probes.drop_rule import DropRule
from probes.errors import Gone, ProbeError, Unsupported
from probes.hooks import catalogue
from probes.model import (
    Cost,
    Enforced,
    Hook,
    HookId,
    Key,
    ProcessFacts,
    Reach,
    Refusal,
    Row,
    Sample,
    State,
    Status,
    TargetKind,
)
from probes.source import Host, next_tick
from probes.sources.demo import flood, scenario
from probes.sources.demo.owners import with_owner
from probes.sources.demo.rules import PlayedRules

START = 1_767_312_000.0  # 2026-01-02 00:00:00 UTC: the demo's clock begins at a fixed moment
KERNEL = "6.12.48-amd64"


class SecondAtOnce:
    """A pace that does not wait before a hook's second reading: it gives the first rates."""

    def __init__(self) -> None:
        self._begun: WeakSet[asyncio.Task[object]] = WeakSet()

    async def __call__(self, seconds: float) -> None:
        worker = asyncio.current_task()
        first = worker is not None and worker not in self._begun
        if worker is not None:
            self._begun.add(worker)
        await asyncio.sleep(0 if first else seconds)


class Demo:
    """A `Source` that plays the incident.

    seed: of the noise. interval: seconds of virtual time between two samples. hooks: what is
    played. begin: virtual time of the first sample; history: seconds from there on that are played
    at once. pace: waits for the given seconds; another than `asyncio.sleep` makes virtual time go
    as fast as it is asked for. speed: returns how many virtual seconds pass in one.
    """

    def __init__(
        self,
        seed: int = 0,
        interval: float = 1.0,
        hooks: Mapping[str, Hook] | None = None,
        *,
        begin: float = 0.0,
        history: float = 0.0,
        pace: Callable[[float], Awaitable[None]] = asyncio.sleep,
        speed: Callable[[], float] = lambda: 1.0,
    ) -> None:
        self.host = Host("web1", KERNEL, demo=True)
        self.interval = interval
        self._hooks = catalogue() if hooks is None else hooks
        self._begin, self._live = begin, begin + history
        self._pace, self._speed = pace, speed
        self._script = scenario.Script(seed)
        self._statuses: dict[HookId, Status] = {}
        self._since: dict[HookId, float] = {}
        self._epochs: dict[HookId, int] = {}
        self._rules = PlayedRules(self._script)
        self._now = begin
        self._started = None if history else time.monotonic()

    @property
    def catalogue(self) -> Mapping[str, Hook]:
        return self._hooks

    def statuses(self) -> tuple[Status, ...]:
        return tuple(self._statuses.values())

    async def start(self) -> None:
        for id in self._known():
            self._statuses[id] = Status(id)
            if self._hooks[id.hook].reach is Reach.OBSERVES:
                self._stand(id)

    def _known(self) -> list[HookId]:
        return [
            HookId(hook.name, interface.name if hook.target is TargetKind.INTERFACE else None)
            for hook in self._hooks.values()
            if hook.name in scenario.PLANS and not hook.on_demand
            for interface in scenario.INTERFACES
            if hook.target is TargetKind.INTERFACE or interface is scenario.INTERFACES[0]
        ]

    async def samples(self, hook: str) -> AsyncIterator[tuple[Sample, ...]]:
        now = self._begin
        while True:
            self._go_on(now)
            yield tuple(self.sample(id, now) for id in self._standing(hook))
            interval = self.interval
            await self._pace(self._until_next(now, interval))
            now += interval

    def _until_next(self, now: float, interval: float) -> float:
        """Return the seconds to wait before the next sample.

        All hooks tick together from when the first of them has played its history.
        """
        if now + interval <= self._live:
            return 0.0
        if self._started is None:
            self._started = time.monotonic()
        return next_tick(self._started, interval / self._speed())

    def _go_on(self, now: float) -> None:
        """Go on to that moment; a rule that is set on the way applies from then on."""
        before, self._now = self._now, max(self._now, now)
        laps = self._now // scenario.LAP * scenario.LAP
        if before < laps + flood.ANSWERED <= self._now:
            self._answer()

    def _answer(self) -> None:
        """Set the script's rule, unless it is there or there is no place for it."""
        interface, rule = flood.ANSWER
        there = {(e.interface, e.rule.what) for e in self.rules()}
        with suppress(Unsupported):
            if (interface, rule.what) not in there:
                self._rules.add(interface, rule, self._now)

    def _standing(self, hook: str) -> list[HookId]:
        standing = (State.ATTACHED, State.PASSIVE)
        return [i for i, s in self._statuses.items() if i.hook == hook and s.state in standing]

    def at(self, time: float) -> tuple[Sample, ...]:
        """Return the samples of everything that is attached, at that second of virtual time."""
        hooks = self._hooks
        return tuple(self.sample(id, time) for name in hooks for id in self._standing(name))

    def sample(self, id: HookId, time: float) -> Sample:
        """Return one hook's sample at that second of virtual time; it counts from the attach on."""
        hook = self._hooks[id.hook]
        since = self._since.get(id, self._begin)
        names, keys = hook.places.names, hook.places.keys
        rows: dict[Key, Row] = {}
        for values in self._script.rows(id.hook, id.target, since, time):
            values = with_owner(names, self._own(id.hook, values))
            row = tuple([values[n] for n in names])
            rows[tuple([row[i] for i in keys])] = row
        runs, per_run = self._script.cost(id.hook, id.target, since, time)
        passive = self._statuses[id].state is State.PASSIVE
        log = self._script.log(time - self.interval, time) if hook.log else []
        logged = tuple([column.name for column in hook.log])
        return Sample(
            status=self._statuses[id],
            time=time,
            wall=START + time,
            epoch=self._epochs.get(id, 0),
            rows=rows,
            cost=None if passive else Cost(int(runs), int(runs * per_run)),
            log=tuple(tuple(map(with_owner(logged, e).__getitem__, logged)) for e in log),
            from_zero=not passive,
        )

    def _own(self, hook: str, values: scenario.Values) -> scenario.Values:
        """Return the interface's row with what we attached to it."""
        if hook != "interfaces":
            return values
        id = HookId("xdp", str(values["interface"]))
        status = self._statuses.get(id)
        if status is None or status.state is not State.ATTACHED:
            return values
        mode = "generic" if id.target in scenario.NO_NATIVE else "native"
        return {**values, "xdp_mode": mode, "xdp_program": "ebpftop_xdp#731"}

    async def attach(self, id: HookId, rung: str | None = None) -> Status:
        hook = self._hooks.get(id.hook)
        if hook is None or (hook.target is TargetKind.INTERFACE and not _interface(id.target)):
            raise Gone(f"there is no {id}", errno=errno.ENODEV)
        if hook.name not in scenario.PLANS:
            raise Unsupported(f"{hook.name} is not in the demo's script", errno=errno.ENOENT)
        if rung is not None and hook.rung(rung) is None:
            raise Unsupported(f"{id.hook} has no rung {rung}", errno=errno.ENOENT)
        before = self._statuses.get(id, Status(id))
        self._statuses[id] = replace(before, state=State.ATTACHING, note="compiling")
        await self._pace(min(self.interval, 0.3))
        error = scenario.REFUSED.get(str(id))
        if error is not None:
            self._refuse(id, hook, error)
            raise error
        return self._stand(id, rung)

    def _refuse(self, id: HookId, hook: Hook, error: ProbeError) -> None:
        refused = tuple(
            Refusal(r.name, error.code, error.why, error.remedy)
            for r in hook.ladder
            if not r.passive
        )
        self._statuses[id] = Status(id, State.FAILED, None, refused)

    def _stand(self, id: HookId, rung: str | None = None) -> Status:
        hook, plan = self._hooks[id.hook], scenario.PLANS[id.hook]
        refusals = plan.refusals if plan.on is None or id.target in plan.on else ()
        ladder = tuple(r.name for r in hook.ladder) or plan.rungs
        place = ladder.index(rung) if rung else min(len(refusals), len(ladder) - 1)
        refused = (
            ()
            if rung
            else tuple(
                Refusal(name, *refusal) for name, refusal in zip(ladder, refusals, strict=False)
            )
        )
        state = State.PASSIVE if plan.passive else State.ATTACHED
        status = Status(id, state, ladder[place], refused, plan.note, rung is not None)
        self._statuses[id] = status
        self._since[id] = self._now
        self._epochs[id] = self._epochs.get(id, 0) + 1
        return status

    async def complete(self, text: str) -> tuple[str, str]:
        return text, ""  # nobody's kernel

    async def detach(self, id: HookId) -> Status:
        if self._hooks[id.hook].on_demand:
            self._statuses.pop(id, None)
            return Status(id)
        self._statuses[id] = Status(id)
        return self._statuses[id]

    async def add_rule(self, interface: str, rule: DropRule) -> Enforced:
        return self._rules.add(interface, rule, self._now)

    async def cautions(self, interface: str, rule: DropRule) -> tuple[str, ...]:
        del interface, rule
        return ()  # nobody can be cut off from it

    async def remove_rule(self, interface: str, rule: DropRule) -> None:
        self._rules.remove(interface, rule, self._now)

    def rules(self) -> tuple[Enforced, ...]:
        return self._rules.at(self._now)

    @staticmethod
    def knob(name: str) -> str | None:
        return _KNOBS.get(name)

    @staticmethod
    def process(pid: int) -> ProcessFacts | None:
        command = _COMMANDS.get(pid)
        return command and ProcessFacts(*command, START - _UP)

    async def close(self) -> None:
        for id in reversed(tuple(self._statuses)):
            await self.detach(id)


_COMMANDS = {
    1502: ("/usr/sbin/filterd --pin /sys/fs/bpf/filter", "root"),
    811: ("/usr/sbin/rsyslogd -n -iNONE", "syslog"),
    2311: ("/srv/checkout --db 10.0.0.5:5432", "checkout"),
    2390: ("/srv/billing --db 10.0.0.5:5432", "billing"),
    1184: ("nginx: worker process", "www-data"),
    30400: ("rsync -a /srv/ 203.0.113.77::backup", "backup"),
}
"""Command lines and users of those who take part."""
_UP = 7 * 86400.0
"""Seconds for which they have run at the beginning."""
_KNOBS = {
    "net.core.rmem_max": "212992",
    "net.core.rmem_default": "212992",
    "net.core.somaxconn": "4096",
    "net.ipv4.tcp_rmem": "4096 131072 6291456",
}
"""Kernel parameters as a fresh Debian has them."""


def _interface(name: str | None) -> bool:
    return any(i.name == name for i in scenario.INTERFACES)
