"""The source that polls this host's kernel: one attachment for each hook and target."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple, TypeVar

from probes.attach import persistent, slow_closing
from probes.compile import bundle as bundles
from probes.compile import cache, headers
from probes.compile.bundle import Bundle, Needs
from probes.compile.compiler import Compiler
from probes.custom import completion
from probes.custom.catalogue import Catalogue
from probes.drop_rule import DropRule
from probes.droprules.cautions import Cautions
from probes.droprules.enforcer import Rules
from probes.errors import Gone, ProbeError, as_refusal, call_each
from probes.kernel import bpf, capabilities, patience, rlimits, sysctl
from probes.ladder.attachment import Attachment
from probes.ladder.modules import Modules
from probes.ladder.row_limit import RowLimit
from probes.model import Enforced, Hook, HookId, ProcessFacts, Sample, State, Status
from probes.owners.enter_netns import looked_from
from probes.source import Host
from probes.sources.live import budget, expected, memory, needs, spending, usage
from probes.sources.live.attachments import Attachments
from probes.sources.live.background import BackgroundTasks
from probes.sources.live.children import growth
from probes.sources.live.following import InterfaceFollower
from probes.sources.live.interfaces import Interfaces
from probes.sources.live.pace import ReadingPace
from probes.sources.live.process_facts import process_facts
from probes.sources.live.reading import Readings
from probes.sources.live.room import COMPILER
from probes.sources.live.wanted import Wanted
from probes.sources.live.workers import Workers

REVIVE_SECONDS = 1.0
"""Seconds between two checks for failed attachments that are to be attached again."""
THREADS = 4
TEND_SECONDS = 0.25
"""Seconds between two looks at drop rules; in the kernel they end at their deadline."""

T = TypeVar("T")


class _Climb(NamedTuple):
    """A climb that is to be done in a thread, and its number."""

    attachment: Attachment
    request: int


class Live:
    """A `model.Source`. Attach and detach from the event loop; the kernel work runs in threads.

    wanted: the hooks to attach at start (None: the safe set). also: those that the user asked for
    beside it. pins: hook -> rung. drops: rules to begin with, by interface. percent: the budget, of
    one CPU, for the programs of all hooks together; None: none. bundle: programs that were compiled
    elsewhere. limit: bytes of memory; used: how many are in use, without maps.
    """

    def __init__(
        self,
        *,
        interval: float = 1.0,
        wanted: Iterable[HookId] | None = None,
        also: Iterable[HookId] = (),
        pins: Mapping[str, str] | None = None,
        drops: Iterable[tuple[str, DropRule]] = (),
        observe_only: bool = False,
        percent: float | None = budget.DEFAULT,
        bundle: Bundle | None = None,
        limit: int | None = None,
        used: Callable[[], int] = usage.resident,
    ) -> None:
        limit = memory.default() if limit is None else limit
        self.interval = interval
        self._percent = percent
        self.host = Host(
            socket.gethostname(), os.uname().release, capabilities.summary(), netns=looked_from()
        )
        self._hooks = Catalogue()
        self.notices: list[str] = list(self._hooks.complaints)
        self._background = BackgroundTasks(lambda: self.interval, self.notices)
        self._interfaces = Interfaces()
        self._wanted = Wanted(self._hooks, self._interfaces, wanted, also)
        self._attachments = Attachments(self._hooks, self._interfaces, self._made)
        self._pins = dict(pins or {})
        self._observe_only = observe_only
        self._compiler = Compiler(
            self._hooks.values(),
            cached=True,
            bundle=bundle,
            at_once=memory.compiles_for(limit),
            room=lambda: self._bound.room.make(),
        )
        self._rows = RowLimit(memory.rows_for(limit - COMPILER))
        self._bound = memory.Bound(limit, self._rows, used, lambda: growth(self._compiler.pids()))
        self._compiler.fits = self._bound.room.fits
        self._modules = Modules(self._compiler)
        self._drops = tuple(drops)
        self._rules = Rules(self._compiler, observe_only=observe_only)
        self._tending = False
        self._following = InterfaceFollower(
            self._hooks,
            self._interfaces,
            self._attachments,
            self._wanted,
            self._rules,
            run=lambda work: self._climbers.run(work),
            begin=self._begin,
            tell=self._background.tell,
        )
        self._readings = Readings(lambda work: self._readers.submit(work), self._background.tell)
        self._make_workers()
        self._stats: int | None = None
        self._ledger = budget.Ledger(budget.DEFAULT if percent is None else percent)
        self._pace = ReadingPace(lambda: self.interval)

    @property
    def needs(self) -> Needs | None:
        """What a bundle for this host has to be; None where it has one, or bcc."""
        has = cache.has_compiler() or self._compiler.bundle is not None
        return None if has else bundles.needs()

    def _make_workers(self) -> None:
        # Climbs may block for seconds each; readers must never wait behind them. With more
        # climbers the first numbers come later: one interpreter runs them all.
        self._climbers, self._readers = Workers(THREADS), Workers(THREADS)
        self._closer = Workers(1)

    def _start_workers(self) -> None:
        """Start all at the beginning, while there is memory for them. Raises ProbeError."""
        try:
            for workers in (self._climbers, self._readers, self._closer):
                workers.start()
        except RuntimeError as none:
            raise as_refusal(none, "starting") from none

    @property
    def catalogue(self) -> Catalogue:
        return self._hooks

    def statuses(self) -> tuple[Status, ...]:
        return self._attachments.statuses()

    def _made(self, hook: Hook, target: str | None, ifindex: int) -> Attachment:
        return Attachment(
            hook,
            self._modules,
            target,
            ifindex,
            observe_only=self._observe_only,
            rows=self._rows,
        )

    # -- starting ------------------------------------------------------------------------------

    async def start(self) -> None:
        self._start_workers()
        await self._climbers.run(self._prepare)
        self._background.keep("the memory limit", self._hold_memory)
        self.follow()
        self._watch_over()
        for interface, rule in self._drops:
            self._background.spawn(self._begin_rule(interface, rule))
        self._background.spawn(self._climb_first(self._by_source()))

    async def attach_all(self) -> None:
        """Attach as at start, without a screen: return once every ladder has been walked.

        Raises ProbeError where a rule to begin with cannot be enforced.
        """
        self._start_workers()
        await self._climbers.run(self._prepare)
        self._background.keep("the memory limit", self._hold_memory)
        for interface, rule in self._drops:
            await self.add_rule(interface, rule)
        await self._climb_first(self._by_source())
        self.follow()
        self._watch_over()

    def _watch_over(self) -> None:
        self._background.keep("the budget", self._hold_budget)
        self._background.keep("attaching again", self._revive)

    def follow(self) -> None:
        """Keep up with interfaces that come, go and are renamed."""
        self._background.keep(
            "following interfaces", lambda: self._following.follow(lambda: self.interval)
        )

    async def _revive(self) -> None:
        """Attach again what failed by an exception, or for want of something passing."""
        while True:
            await asyncio.sleep(REVIVE_SECONDS)
            for attachment in [a for a in self._attachments.all() if a.due]:
                await self._climbers.run(attachment.climb_again)

    def shed(self) -> frozenset[int]:
        """Give up for good the capabilities that are no longer of use. Return those that are kept.

        A thread has capabilities of its own, and passes them on to what it starts. So the workers
        end, after all that waits for them, and others begin: with what the calling thread keeps, as
        the compiler does when it is started next. Background work goes on. Blocks meanwhile. Raises
        OSError.
        """
        for pool in (self._climbers, self._readers, self._closer):
            pool.close(cancel=False)
        self._compiler.end_idle()  # after the workers, which may have started another
        patience.end_idle()
        self._make_workers()
        kept = needs.still_needed(
            self._attachments.all(),
            follows=self._wanted.safe_set or any(self._wanted.interfaces()),
            rules=bool(self.rules()),
            budget=self._percent is not None,
        )
        capabilities.keep(kept)
        self._start_workers()
        return kept

    def check(self) -> None:
        """Raise Gone where a hook that was asked for by name has no such target.

        Also raises what else is known beforehand to be refused.
        """
        for interface, _ in self._drops:
            self.check_rule(interface)
        for id in self._wanted.by_name():
            self._attachments.get(id)

    def _prepare(self) -> None:
        """Prepare for any attachment: sweep what a killed process left, switch stats on."""
        self.notices += persistent.sweep()
        headers.sweep()
        self._interfaces.list(self._wanted.interfaces())
        if (more := self._wanted.too_many) > 0:
            self.notices.append(f"hooks of {more} more interfaces are attached only if named")
        rlimits.raise_memlock()
        rlimits.raise_nofile()
        try:
            self._stats = bpf.enable_stats()
        except OSError:
            self._stats = None  # no CAP_SYS_ADMIN, or Linux before 5.8: the cost is not known

    def _first(self) -> list[_Climb]:
        """Return the attachments of the start, attached to their passive rungs already."""
        first = []
        for id in self._wanted.initial():
            try:
                attachment = self._attachments.get(id)
            except Exception as raised:  # an interface that went since it was listed
                if id in self._wanted.by_name():
                    raise
                self._background.tell(f"attaching {id}", raised)
                self._following.expect(id.target)
                continue
            attachment.stand_passive()
            first.append(_Climb(attachment, attachment.request()))
        return first

    def _by_source(self) -> list[list[_Climb]]:
        """Group what is to be climbed one after the other.

        Targets of a hook wait for the same module, and would wait in as many threads. Those without
        a target come first.
        """
        by: dict[str, list[_Climb]] = {}
        for climb in self._first():
            by.setdefault(climb.attachment.hook.name, []).append(climb)
        return sorted(by.values(), key=lambda climbs: climbs[0].attachment.ifindex != 0)

    async def _climb_first(self, groups: list[list[_Climb]]) -> None:
        """Compile all of them before any maps take the room for that, where memory is scarce."""
        others = sum(group[0].attachment.hook.on_demand for group in groups)
        try:
            narrow = self._bound.is_narrow(expected.memory(others))
        except Exception as raised:  # everything is attached all the same
            narrow = False
            self._background.tell("the memory limit", raised)
        for climbs in groups if narrow else ():
            await self._with_climber(climbs[0], Attachment.compile_ahead)
        await asyncio.gather(*map(self._climb_all, groups))
        self._pace.all_stand()

    async def _climb_all(self, climbs: Iterable[_Climb]) -> None:
        for climb in climbs:
            await self._climb(climb)

    def named(self, id: HookId) -> HookId:
        """Return a hook with the interface's own name; unchanged where that is not known."""
        return self._interfaces.own(id)

    def _begin(self, attachment: Attachment) -> None:
        attachment.stand_passive()
        self._background.spawn(self._climb(_Climb(attachment, attachment.request())))

    async def _climb(self, climb: _Climb) -> None:
        await self._with_climber(climb, Attachment.climb)

    async def _with_climber(self, climb: _Climb, work: Callable[..., object]) -> None:
        """Climb as it was asked for at the start."""
        attachment, request = climb
        asked = attachment.status.id in self._wanted.by_name()
        how = {"pinned": self._pins.get(attachment.hook.name), "asked": asked, "request": request}
        try:
            await self._climbers.run(partial(work, attachment, **how))
        except Exception as raised:  # no thread to be had
            attachment.fail(raised)

    # -- reading -------------------------------------------------------------------------------

    async def samples(self, hook: str) -> AsyncIterator[tuple[Sample, ...]]:
        ladder = self._hooks[hook].ladder
        counted = len(ladder) == 1 and ladder[0].passive  # by the kernel, all the time
        known = False
        while True:
            standing = self._attachments.of_hook(hook)
            if standing or known:  # that nothing stands any more is told, too, once
                yield await self._readings.of(standing) if standing else ()
            known = bool(standing)
            await self._pace.wait(hook, at_once=counted and bool(standing))

    async def read(self) -> list[Sample]:
        """Return one sample of everything that has been asked for or is attached."""
        attachments = self._attachments.all()
        return list(await self._readings.of(attachments)) if attachments else []

    def until_next(self) -> float:
        """Return the seconds to the next tick."""
        return self._pace.until_next()

    # -- the budget ----------------------------------------------------------------------------

    async def _hold_memory(self) -> None:
        while True:
            await self._readers.run(self._bound.hold)
            await asyncio.sleep(self._bound.every)

    async def _hold_budget(self) -> None:
        """Cut, in each window, what takes too much, or try again what was cut (`budget.Ledger`)."""
        if self._percent is None:
            return
        before = await self._readers.run(self._costs)
        while self._stats is not None:
            await asyncio.sleep(budget.WINDOW)
            after = await self._readers.run(self._costs)
            there = self._attachments.all()
            spent = spending.between(before, after)
            done = self._ledger.decide(spent, time.monotonic(), spending.cut(there))
            before = after
            if done is not None:
                self.notices += await self._climbers.run(partial(spending.carry_out, done, there))
                before = await self._readers.run(self._costs)

    def _costs(self) -> spending.Costs:
        return spending.costs(self._attachments.all())

    # -- at the user's request -------------------------------------------------------------------

    async def _asked_for(self, doing: str, work: Callable[[], T]) -> T:
        """Run work that the user asked for, in a thread. Raises ProbeError and nothing else."""
        try:
            return await self._climbers.run(work)
        except Exception as raised:
            raise as_refusal(raised, doing) from raised

    async def attach(self, id: HookId, rung: str | None = None) -> Status:
        if id.hook not in self._hooks:  # the first time, one of the user's own takes 0.2 s
            await self._asked_for(f"attaching {id}", lambda: self._hooks.find(id.hook))
        attachment = self._attachments.get(id)
        if rung is not None and attachment.hook.rung(rung) is None:
            names = ", ".join(r.name for r in attachment.hook.ladder)
            raise Gone(f"the hook {id.hook} has no rung {rung}; it has {names}")
        attachment.stand_passive()
        pinned, request = rung or self._pins.get(id.hook), attachment.request()
        status = await self._asked_for(
            f"attaching {id}",
            lambda: attachment.climb(pinned=pinned, asked=True, request=request),
        )
        if status.state is State.FAILED:
            raise _failure(status)
        self._pace.attached(id.hook)
        return status

    async def detach(self, id: HookId) -> Status:
        attachment = self._attachments.get(id)
        request = attachment.request()
        status = await self._asked_for(
            f"detaching {id}", lambda: attachment.detach(request=request)
        )
        if attachment.hook.on_demand and attachment.is_latest(request):
            self._attachments.remove(attachment)
        return status

    async def complete(self, text: str) -> tuple[str, str]:
        return await self._asked_for("completing", lambda: completion.complete(text))

    # -- drop rules ----------------------------------------------------------------------------

    async def add_rule(self, interface: str, rule: DropRule) -> Enforced:
        made = await self._asked_for("adding a rule", lambda: self._rules.add(interface, rule))
        if not self._tending:
            self._tending = True
            self._background.spawn(self._tend())
        return made

    async def cautions(self, interface: str, rule: DropRule) -> tuple[str, ...]:
        found = await self._climbers.run(partial(self._rules.cautions, interface, rule))
        return found.sentences

    async def remove_rule(self, interface: str, rule: DropRule) -> None:
        await self._asked_for("removing a rule", lambda: self._rules.remove(interface, rule))

    def rules(self) -> tuple[Enforced, ...]:
        return self._rules.shown()

    @staticmethod
    def knob(name: str) -> str | None:
        return sysctl.value(name)

    @staticmethod
    def process(pid: int) -> ProcessFacts | None:
        return process_facts(pid)

    @property
    def is_tight(self) -> bool:
        """Whether memory is so short that nothing more should be attached unasked."""
        return self._bound.is_tight

    def check_rule(self, interface: str) -> None:
        """Raise ProbeError where it is known beforehand that nothing may be dropped there."""
        self._rules.check(interface)

    def cautions_of(self, interface: str, rule: DropRule) -> Cautions:
        """Return the same as `cautions`, one by one, and before there is an event loop."""
        return self._rules.cautions(interface, rule)

    @property
    def ended_rules(self) -> tuple[str, ...]:
        """Return a sentence for each rule that has ended: how, and what it has dropped."""
        return tuple(self._rules.ended)

    async def _begin_rule(self, interface: str, rule: DropRule) -> None:
        try:
            await self.add_rule(interface, rule)
        except ProbeError as refused:
            self._rules.refuse(interface, rule, refused)

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(TEND_SECONDS)
            try:
                await self._climbers.run(self._rules.tend)
            except Exception as raised:
                self._background.tell("checking drop rules", raised)

    async def close(self) -> None:
        self._background.cancel()
        try:
            await self._closer.run(self.close_now)
        except RuntimeError:  # no thread to be had: here, then
            self.close_now()
        self._closer.close(0.0)

    def close_now(self) -> None:
        """Detach everything, last attached first; what would outlive us before all else."""
        steps = (
            self._detach_lasting,
            self._compiler.close,  # what is being attached ends the sooner
            self._climbers.close,
            self._rules.close,
            self._detach_all,
            self._readers.close,
            self._close_stats,
        )
        try:
            call_each(steps)
        except Exception as failed:
            self._background.tell("ending", failed)

    def _detach_lasting(self) -> None:
        for attachment in reversed(self._to_let_go()):
            rung = attachment.hook.rung(attachment.status.rung or "")
            if rung is not None and rung.lasting:
                self._detach(attachment)

    def _detach_all(self) -> None:
        for attachment in reversed(self._to_let_go()):
            self._detach(attachment)

    def _close_stats(self) -> None:
        if self._stats is not None:
            os.close(self._stats)
            self._stats = None

    def _to_let_go(self) -> list[Attachment]:
        return [*self._following.leaving, *self._attachments.all()]

    def _detach(self, attachment: Attachment) -> None:
        try:
            attachment.detach()
        except Exception as failed:  # the others are still to be let go of
            said = f"{attachment.status.id} could not be detached: {failed}"
            if said not in self.notices:  # it is tried twice
                self.notices.append(said)

    def release(self) -> None:
        """Detach what would outlive the process or delay its end, also while `close_now` hangs."""
        slow_closing.hand_over()
        persistent.registry().release()


def _failure(status: Status) -> ProbeError:
    """Return the most telling refusal.

    That is want of memory or files, else the first that is not about a lower rung's own limits.
    """
    if not status.refused:
        return ProbeError(f"{status.id} could not be attached")
    short = ("ENOMEM", "EMFILE", "ENFILE")
    first = next((r for r in status.refused if r.error in short), status.refused[0])
    why, code = f"{status.id}: {first.rung}: {first.why}", getattr(errno, first.error, 0)
    return ProbeError(why, errno=code, remedy=first.remedy)
