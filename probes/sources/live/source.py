"""The source that polls this host's kernel: one attachment for each hook and target."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Mapping
from contextlib import closing, suppress
from functools import lru_cache, partial
from typing import TypeVar

from probes.attach import persistent, slow_closing
from probes.compile import headers
from probes.compile.compiler import Compiler
from probes.custom import completion
from probes.custom.catalogue import Catalogue
from probes.drop_rule import Rule
from probes.droprules.cautions import Cautions
from probes.droprules.enforcer import Rules
from probes.errors import Gone, ProbeError, as_refusal
from probes.kernel import bpf, capabilities, patience, privilege, rlimits
from probes.kernel.netlink import route
from probes.ladder.attachment import Attachment, Modules
from probes.ladder.row_limit import RowLimit
from probes.model import Enforced, Hook, HookId, Reach, Sample, State, Status, TargetKind
from probes.source import Host, next_tick
from probes.sources.live import budget, memory, spending
from probes.sources.live.workers import Workers
from probes.toolkit.tick_cache import reading

MOST_INTERFACES = 64
"""How many interfaces get a targeted hook by themselves; a person can attach any other."""
REVIVE_SECONDS = 1.0
"""How often it is looked whether something that failed is to be attached again."""
THREADS = 4
MOST_NOTICES = 100
"""Different sentences about what went wrong in the background, that a run tells."""
TEND_SECONDS = 0.25
"""How often drop rules are looked at; in the kernel they end at their deadline."""

T = TypeVar("T")
Reads = asyncio.Future[tuple[Sample, ...]]


class Live:
    """A `model.Source`. Attach and detach from the event loop; the kernel work runs in threads.

    wanted: the hooks to attach at start (None: the safe set). also: those that a person asked for
    beside it. pins: hook -> rung. drops: rules to begin with, by interface. percent: the budget,
    of one CPU, for the programs of all hooks together; None: none. limit: bytes of memory; used:
    how many are used but for maps.
    """

    def __init__(
        self,
        *,
        interval: float = 1.0,
        wanted: Iterable[HookId] | None = None,
        also: Iterable[HookId] = (),
        pins: Mapping[str, str] | None = None,
        drops: Iterable[tuple[str, Rule]] = (),
        observe_only: bool = False,
        percent: float | None = budget.DEFAULT,
        limit: int = memory.DEFAULT,
        used: Callable[[], int] = memory.resident,
    ) -> None:
        self.interval = interval
        self._percent = percent
        self.host = Host(socket.gethostname(), os.uname().release, privilege.summary())
        self._hooks = Catalogue()
        self.notices: list[str] = list(self._hooks.complaints)
        self._wanted = None if wanted is None else tuple(wanted)
        self._also = tuple(also)
        self._pins = dict(pins or {})
        self._observe_only = observe_only
        self._compiler = Compiler(
            self._hooks.values(),
            cached=True,
            at_once=memory.compiles_for(limit),
            room=lambda: self._bound.make_room(),
        )
        self._rows = RowLimit(memory.rows_for(limit - memory.COMPILER))
        self._bound = memory.Bound(limit, self._rows, used, lambda: self._compiler.there)
        self._modules = Modules(self._compiler)
        self._drops = tuple(drops)
        self._rules = Rules(self._compiler, observe_only=observe_only)
        self._tending = False
        self._attachments: dict[tuple[str, int | str | None], Attachment] = {}
        self._interfaces: dict[int, str] = {}
        self._altnames: dict[str, str] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._asked: list[tuple[list[Attachment], Reads]] = []
        self._make_workers()
        self._stats: int | None = None
        self._started = time.monotonic()
        self._said: set[str] = set()

    def _make_workers(self) -> None:
        memory.share_heaps()
        # Climbs may block for seconds each; readers must never wait behind them. With more
        # climbers the first numbers come later: one interpreter runs them all.
        self._climbers, self._readers = Workers(THREADS), Workers(THREADS)
        self._closer = Workers(1)

    def _start_workers(self) -> None:
        """All at the beginning, while there is memory for them. Raises ProbeError."""
        try:
            for workers in (self._climbers, self._readers, self._closer):
                workers.start()
        except RuntimeError as none:
            raise as_refusal(none, "starting") from none

    @property
    def catalogue(self) -> Catalogue:
        return self._hooks

    def statuses(self) -> tuple[Status, ...]:
        known = []
        standing: dict[str, list[Status]] = {}
        for (name, _), attachment in list(self._attachments.items()):
            standing.setdefault(name, []).append(attachment.status)
        for hook in self._hooks.values():
            if hook.target is TargetKind.INTERFACE:
                known += [
                    a.status
                    if (a := self._attachments.get((hook.name, index)))
                    else _detached(hook.name, name)
                    for index, name in self._interfaces.items()
                ]
            elif hook.name in standing:
                known += standing[hook.name]
            elif hook.target is TargetKind.NONE:
                known.append(_detached(hook.name))
        return tuple(known)

    # -- starting ------------------------------------------------------------------------------

    async def start(self) -> None:
        self._start_workers()
        await self._climbers.run(self._prepare)
        self._spawn(self._always("the bound on memory", self._hold_memory))
        self.follow()
        self._watch_over()
        for interface, rule in self._drops:
            self._spawn(self._begin(interface, rule))
        for attachments in self._by_source():
            self._spawn(self._climb_all(attachments))

    async def attach_all(self) -> None:
        """The same, for whoever wants no screen: returns once every ladder has been walked.

        Raises ProbeError where a rule to begin with cannot be enforced.
        """
        self._start_workers()
        await self._climbers.run(self._prepare)
        self._spawn(self._always("the bound on memory", self._hold_memory))
        for interface, rule in self._drops:
            await self.add_rule(interface, rule)
        await asyncio.gather(*map(self._climb_all, self._by_source()))
        self.follow()
        self._watch_over()

    def _watch_over(self) -> None:
        self._spawn(self._always("the budget", self._hold_budget))
        self._spawn(self._always("attaching again", self._revive))

    def follow(self) -> None:
        """Keep up with interfaces that come, go and are renamed."""
        self._spawn(self._always("following interfaces", self._follow))

    async def _always(self, what: str, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Work that goes on until the end: what it raises is told once, and it is begun anew."""
        while True:
            try:
                await work()
                return
            except Exception as raised:
                self._tell(what, raised)
            await asyncio.sleep(self.interval)

    def _tell(self, what: str, raised: BaseException) -> None:
        why = as_refusal(raised, what).why
        if why not in self._said and len(self._said) < MOST_NOTICES:
            self._said.add(why)
            self.notices.append(why)

    async def _revive(self) -> None:
        """Attaches again what failed by an exception, or for want of something that may be there
        by now."""
        while True:
            await asyncio.sleep(REVIVE_SECONDS)
            for attachment in [a for a in self._standing() if a.due]:
                await self._climbers.run(attachment.climb_again)

    def shed(self) -> frozenset[int]:
        """Give up, for good, the capabilities that what stands has no use for. Returns the others.

        Capabilities are a thread's: those that attached end here, and whatever is started from
        now on, the compiler too, has what this thread has. Raises OSError.
        """
        for pool in (self._climbers, self._readers, self._closer):
            pool.close()
        self._make_workers()
        kept = self._needed()
        capabilities.keep(kept)
        self._compiler.end_idle()  # only now: the pools may have started children until they ended
        patience.end_idle()
        self._start_workers()
        return kept

    def _needed(self) -> frozenset[int]:
        """To read and to detach what stands, and to attach to interfaces that come."""
        needed = {privilege.BPF}
        follows = self._wanted is None or any(self._interfaces_named())
        if follows or self.rules():
            needed |= {privilege.NET_ADMIN, privilege.PERFMON}
        if self.rules():
            needed |= {*privilege.PROCESSES}  # whose connections no rule may match
        states = {a.status.state for a in self._attachments.values()}
        if self._percent is not None and State.ATTACHED in states:
            needed |= {privilege.NET_ADMIN, privilege.PERFMON}  # what is cut is attached again
        for attachment in self._attachments.values():
            hook = attachment.hook
            rung = hook.rung(attachment.status.rung or "")
            if rung is not None:
                needed |= privilege.USED if hook.reads_with is None else {*hook.reads_with}
                needed |= {privilege.NET_ADMIN} if rung.lasting else set()
        return frozenset(needed)

    def check(self) -> None:
        """Raises Gone where a hook that was asked for by name has no such target, or what else
        is known beforehand to be refused."""
        for interface, _ in self._drops:
            self.check_rule(interface)
        for id in self._by_name():
            self._attachment(id)

    def _prepare(self) -> None:
        """What comes before any attachment: sweep what a killed process left, switch stats on."""
        self.notices += persistent.sweep()
        headers.sweep()
        self._list_interfaces()
        if self._wanted is None and (more := len(self._interfaces) - MOST_INTERFACES) > 0:
            self.notices.append(f"hooks of {more} interfaces more are attached only if named")
        rlimits.raise_memlock()
        rlimits.raise_nofile()
        try:
            self._stats = bpf.enable_stats()
        except OSError:
            self._stats = None  # no CAP_SYS_ADMIN, or Linux before 5.8: the cost is not known

    def _first(self) -> list[Attachment]:
        """The attachments of the start, standing on their passive rungs already."""
        first = []
        for id in self._initial():
            try:
                first.append(self._attachment(id))
            except Exception as raised:  # an interface that went since it was listed
                if id in self._by_name():
                    raise
                self._tell(f"attaching {id}", raised)
                continue
            first[-1].rest()
        return first

    def _by_source(self) -> list[list[Attachment]]:
        """What is to be climbed one after the other: targets of a hook wait for the same module,
        and would wait in as many threads. What has no target comes first."""
        by: dict[str, list[Attachment]] = {}
        for attachment in self._first():
            by.setdefault(attachment.hook.name, []).append(attachment)
        return sorted(by.values(), key=lambda attachments: attachments[0].ifindex != 0)

    async def _climb_all(self, attachments: Iterable[Attachment]) -> None:
        for attachment in attachments:
            await self._climb(attachment)

    def _initial(self) -> list[HookId]:
        if self._wanted is not None:
            return list(dict.fromkeys(self._wanted))
        ids = list(self._also)
        for hook in self._hooks.values():
            if hook.on_demand or hook.reach is not Reach.LOOKS_ON:
                continue
            if hook.target is TargetKind.INTERFACE:
                names = list(self._interfaces.values())[:MOST_INTERFACES]
                ids += [HookId(hook.name, name) for name in names]
            else:
                ids.append(HookId(hook.name))
        return list(dict.fromkeys(ids))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def named(self, id: HookId) -> HookId:
        """A hook on an interface's other name, by its own; as it is where that is not known."""
        return id._replace(target=self._altnames.get(id.target or "", id.target))

    def _by_name(self) -> tuple[HookId, ...]:
        """What a person asked for at the start; by the interface's own name, too."""
        asked = *(self._wanted or ()), *self._also
        return *asked, *map(self.named, asked)

    def _interfaces_named(self) -> set[str]:
        """Those that a person wants hooks on."""
        asked = *(self._wanted or ()), *self._also
        hooks = {id: self._hooks.get(id.hook) for id in asked}
        return {
            id.target or ""
            for id, hook in hooks.items()
            if hook is not None and hook.target is TargetKind.INTERFACE
        }

    def _list_interfaces(self) -> dict[int, str]:
        """What they were before. Raises ProbeError."""
        before, self._interfaces = self._interfaces, _interfaces()
        if self._interfaces_named() - {*self._interfaces.values()}:
            with suppress(ProbeError):  # no netlink: they have the names that they have
                self._altnames = {n: link.name for link in route.links() for n in link.altnames}
        return before

    async def _climb(self, attachment: Attachment) -> None:
        asked = attachment.status.id in self._by_name()
        pinned = self._pins.get(attachment.hook.name)
        try:
            await self._climbers.run(lambda: attachment.climb(pinned=pinned, asked=asked))
        except Exception as raised:  # no thread to be had
            attachment.fail(raised)

    def _attachment(self, id: HookId) -> Attachment:
        """The attachment of an id, made if need be. Raises Gone for what does not exist."""
        hook = self._hooks.find(id.hook)
        if hook.name != id.hook:
            id = HookId(hook.name)  # one of the user's own, in its one form
        key, ifindex = self._key(hook, id)
        if ifindex:
            id = HookId(hook.name, self._interfaces[ifindex])
        attachment = self._attachments.get(key)
        if attachment is None:
            attachment = Attachment(
                hook,
                self._modules,
                id.target,
                ifindex,
                observe_only=self._observe_only,
                rows=self._rows,
            )
            self._attachments[key] = attachment
        return attachment

    def _key(self, hook: Hook, id: HookId) -> tuple[tuple[str, int | str | None], int]:
        if (id.target is None) is not (hook.target is TargetKind.NONE):
            wants = f"needs a target: {hook.name}@{hook.target}" if hook.target else "has no target"
            raise Gone(f"the hook {hook.name} {wants}")
        if hook.target is not TargetKind.INTERFACE:
            return (hook.name, id.target), 0
        index, name = _interface(id.target or "")
        self._interfaces[index] = name
        return (hook.name, index), index

    # -- following interfaces ------------------------------------------------------------------

    async def _follow(self) -> None:
        with closing(route.Changes()) as changes:
            while True:
                await asyncio.sleep(self.interval)
                if changes.seen():
                    await self._keep_up(changes.gone())

    async def _keep_up(self, went: Collection[int] = ()) -> None:
        """went: interfaces whose numbers may be those of others by now."""
        before = self._list_interfaces()
        now = self._interfaces
        gone = before.keys() - (now.keys() - {*went})
        new = now.keys() - (before.keys() - gone)
        left = {key: a for key, a in self._attachments.items() if key[1] in gone}
        stood = {key for key, attachment in left.items() if attachment.epoch}
        for key in left:
            del self._attachments[key]
        for (_, index), attachment in left.items():
            if index in now:  # it has a row in the same map as the one that comes
                await self._climbers.run(attachment.detach)
        for (_, index), attachment in list(self._attachments.items()):
            name = now.get(index) if isinstance(index, int) else None
            if name is not None and name != attachment.status.id.target:
                attachment.rename(name)
        renamed = {index for index, name in now.items() if before.get(index, name) != name}
        self._attach_new(new | renamed)  # before anything is waited for: none is seen as not wanted
        for hook, index in stood - self._attachments.keys():
            if isinstance(index, int) and index in now:
                again = self._attachment(HookId(hook, now[index]))
                again.rest()
                self._spawn(self._climb(again))
        there = {index: name for index, name in now.items() if index not in gone}
        await self._climbers.run(partial(self._rules.follow, there))
        for attachment in left.values():
            await self._climbers.run(attachment.detach)

    def _attach_new(self, new: Iterable[int]) -> None:
        for index in new:
            for hook in self._hooks.values():
                if (hook.name, index) in self._attachments:
                    continue
                if hook.target is TargetKind.INTERFACE and self._is_wanted(hook, index):
                    try:
                        attachment = self._attachment(HookId(hook.name, self._interfaces[index]))
                    except ProbeError:  # or renamed since it was listed: it is new then
                        del self._interfaces[index]
                        break
                    attachment.rest()
                    self._spawn(self._climb(attachment))

    def _is_wanted(self, hook: Hook, index: int) -> bool:
        """Whether a hook is attached by itself to an interface that has come."""
        if HookId(hook.name, self._interfaces[index]) in self._by_name():
            return True
        safe = hook.reach is Reach.LOOKS_ON and not hook.on_demand
        return self._wanted is None and safe and len(self._interfaces) <= MOST_INTERFACES

    # -- reading -------------------------------------------------------------------------------

    async def samples(self, hook: str) -> AsyncIterator[tuple[Sample, ...]]:
        while True:
            standing = [a for (name, _), a in list(self._attachments.items()) if name == hook]
            if standing:
                yield await self._reading(standing)
            await asyncio.sleep(self.until_next())

    def _reading(self, standing: list[Attachment]) -> Reads:
        """Their samples. What is asked for at the same moment is read in one go: to wake a
        thread costs more than to read a map."""
        loop = asyncio.get_running_loop()
        if not self._asked:
            loop.call_soon(self._read_asked)
        future: Reads = loop.create_future()
        self._asked.append((standing, future))
        return future

    def _read_asked(self) -> None:
        asked, self._asked = self._asked, []
        # Always in one order, so that what is asked once is as old in each reading as in the last.
        asked.sort(key=lambda one: one[0][0].hook.order)
        try:
            standing = [standing for standing, _ in asked]
            work = self._readers.submit(partial(_read_all, standing))
        except Exception as raised:  # no memory
            self._tell("reading", raised)
            _answer(asked, None)
        else:
            work.add_done_callback(lambda done: _answer(asked, done))

    async def read(self) -> list[Sample]:
        """One sample of everything that has been asked for or stands."""
        attachments = self._standing()
        return list(await self._reading(attachments)) if attachments else []

    def until_next(self) -> float:
        """Seconds to the next tick; all hooks tick together, so the screen wakes once."""
        return next_tick(self._started, self.interval)

    # -- the budget ----------------------------------------------------------------------------

    async def _hold_memory(self) -> None:
        while True:
            await self._readers.run(self._bound.hold)
            await asyncio.sleep(memory.EVERY)

    async def _hold_budget(self) -> None:
        """Each window: cut what takes too much, or try again what was cut (`budget.Ledger`)."""
        if self._percent is None:
            return
        ledger = budget.Ledger(self._percent)
        while self._stats is not None:
            before = await self._readers.run(self._costs)
            begin = time.monotonic()
            await asyncio.sleep(budget.WINDOW)
            after = await self._readers.run(self._costs)
            now, there = time.monotonic(), self._standing()
            spent = spending.between(before, after, now - begin)
            done = ledger.decide(spent, now, spending.cut(there))
            if done is not None:
                self.notices += await self._climbers.run(partial(spending.carry_out, done, there))

    def _costs(self) -> spending.Costs:
        return spending.costs(self._standing())

    def _standing(self) -> list[Attachment]:
        return list(self._attachments.values())

    # -- on a person's word --------------------------------------------------------------------

    async def _asked_for(self, doing: str, work: Callable[[], T]) -> T:
        """Work that a person asked for, in a thread. Raises ProbeError and nothing else."""
        try:
            return await self._climbers.run(work)
        except Exception as raised:
            raise as_refusal(raised, doing) from raised

    async def attach(self, id: HookId, rung: str | None = None) -> Status:
        # One of the user's own takes 0.2 s.
        await self._asked_for(f"attaching {id}", lambda: self._hooks.find(id.hook))
        attachment = self._attachment(id)
        if rung is not None and attachment.hook.rung(rung) is None:
            names = ", ".join(r.name for r in attachment.hook.ladder)
            raise Gone(f"the hook {id.hook} has no rung {rung}; it has {names}")
        if attachment.cut:
            attachment.keep()
        attachment.rest()
        pinned = rung or self._pins.get(id.hook)
        status = await self._asked_for(
            f"attaching {id}", lambda: attachment.climb(pinned=pinned, asked=True)
        )
        if status.state is State.FAILED:
            raise _failure(status)
        return status

    async def detach(self, id: HookId) -> Status:
        attachment = self._attachment(id)
        status = await self._asked_for(f"detaching {id}", attachment.detach)
        if attachment.hook.on_demand:
            self._attachments = {k: a for k, a in self._attachments.items() if a is not attachment}
        return status

    async def complete(self, text: str) -> tuple[str, str]:
        return await self._asked_for("completing", lambda: completion.complete(text))

    # -- drop rules ----------------------------------------------------------------------------

    async def add_rule(self, interface: str, rule: Rule) -> Enforced:
        made = await self._asked_for("adding a rule", lambda: self._rules.add(interface, rule))
        if not self._tending:
            self._tending = True
            self._spawn(self._tend())
        return made

    async def cautions(self, interface: str, rule: Rule) -> tuple[str, ...]:
        found = await self._climbers.run(partial(self._rules.cautions, interface, rule))
        return found.sentences

    async def remove_rule(self, interface: str, rule: Rule) -> None:
        await self._asked_for("removing a rule", lambda: self._rules.remove(interface, rule))

    def rules(self) -> tuple[Enforced, ...]:
        return self._rules.shown()

    def check_rule(self, interface: str) -> None:
        """Raises ProbeError where it is known beforehand that nothing may be dropped there."""
        self._rules.check(interface)

    def cautions_of(self, interface: str, rule: Rule) -> Cautions:
        """As `cautions`, told apart, and before there is an event loop."""
        return self._rules.cautions(interface, rule)

    @property
    def ended_rules(self) -> tuple[str, ...]:
        """A sentence for each rule that has ended: how, and what it has dropped."""
        return tuple(self._rules.ended)

    async def _begin(self, interface: str, rule: Rule) -> None:
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
                self._tell("tending drop rules", raised)

    async def close(self) -> None:
        for task in self._background:
            task.cancel()
        try:
            await self._closer.run(self.close_now)
        except RuntimeError:  # no thread to be had: here, then
            self.close_now()
        self._closer.close(0.0)

    def close_now(self) -> None:
        """Detaches everything, last attached first; what would outlive us before all else."""
        for attachment in reversed(self._standing()):
            rung = attachment.hook.rung(attachment.status.rung or "")
            if rung is not None and rung.lasting:
                self._detach(attachment)
        self._compiler.close()  # what is being attached ends the sooner
        self._climbers.close()
        try:
            self._rules.close()
        except Exception as failed:
            self._tell("ending drop rules", failed)
        for attachment in reversed(self._standing()):
            self._detach(attachment)
        self._readers.close()
        if self._stats is not None:
            os.close(self._stats)
            self._stats = None

    def _detach(self, attachment: Attachment) -> None:
        try:
            attachment.detach()
        except Exception as failed:  # the others are still to be let go of
            self.notices.append(f"{attachment.status.id} could not be detached: {failed}")

    def release(self) -> None:
        """Detach what would outlive the process or delay its end, also while `close_now` hangs."""
        slow_closing.hand_over()
        persistent.register().release()


@lru_cache(4096)
def _detached(hook: str, target: str | None = None) -> Status:
    """One object for each, as there are hundreds and they are compared at each tick."""
    return Status(HookId(hook, target))


def _read_all(asked: Iterable[Iterable[Attachment]]) -> list[tuple[Sample, ...]]:
    with reading():
        return [tuple([a.read() for a in attachments]) for attachments in asked]


def _answer(
    asked: list[tuple[list[Attachment], Reads]],
    done: asyncio.Future[list[tuple[Sample, ...]]] | None,
) -> None:
    """done: None, and what raised, where nothing was read: there are the samples before then."""
    whole = done is not None and not done.cancelled() and done.exception() is None
    for place, (standing, future) in enumerate(asked):
        if future.done():
            continue  # nobody waits for it any more
        if done is not None and done.cancelled():
            future.cancel()
        elif done is not None and whole:
            future.set_result(done.result()[place])
        else:
            future.set_result(tuple([a.unread() for a in standing]))


def _interfaces() -> dict[int, str]:
    """Raises ProbeError where nobody can be asked just now."""
    try:
        return route.names()
    except OSError as failed:
        raise as_refusal(failed, "listing interfaces") from None


def _interface(name: str) -> tuple[int, str]:
    """Its number, and its name where another one of its names is given. Raises ProbeError."""
    for index, known in _interfaces().items():
        if known == name:
            return index, known
    link = route.named(name)
    if link is None:
        raise Gone(f"there is no interface {name}")
    return link.ifindex, link.name


def _failure(status: Status) -> ProbeError:
    """The refusal that says most: the first that is not about a lower rung's own limits."""
    if not status.refused:
        return ProbeError(f"{status.id} could not be attached")
    first = status.refused[0]
    return ProbeError(f"{status.id}: {first.rung}: {first.why}", remedy=first.remedy)
