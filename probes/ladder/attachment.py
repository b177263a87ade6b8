"""The owner: walks a hook's ladder, keeps every refusal, reads, and lets go of everything.

One `Attachment` holds what one hook on one target has attached. It releases in reverse order,
and what was attached before an error in the middle goes at once.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import TypeGuard

from probes.attach import program as bpf_program
from probes.compile.compiler import Compiler, Module
from probes.errors import (
    Busy,
    Denied,
    Gone,
    LoadFailed,
    ProbeError,
    Unexpected,
    as_refusal,
    passing,
)
from probes.kernel import bpf, objects
from probes.ladder import carried, features, replaced_files
from probes.ladder.carried import Counted
from probes.ladder.row_limit import RowLimit
from probes.model import (
    SERIES,
    UNREAD,
    Attach,
    Cost,
    Hook,
    HookId,
    Opening,
    Reach,
    Reading,
    Refusal,
    Row,
    Rung,
    Sample,
    State,
    Status,
    Table,
)
from probes.point import Held, Point

_series = count(1)

ANEW = "the kernel's own totals, without those before, since "
"""How a note says that totals could not be carried over, and when."""
KEPT = "kept by a person whatever it costs: the budget does not touch it"
MOST_FAILURES = 10
"""Readings that may fail one after the other before an attachment is given up; any number of them
where the host is short of something (`errors.passing`)."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0
"""Seconds until what failed by an exception is attached again; twice as many each time."""


class Modules:
    """Compiled modules, one for each source, shared by the attachments that use them."""

    def __init__(self, compiler: Compiler) -> None:
        self._compiler = compiler
        self._lock = threading.Lock()
        self._held: dict[str, tuple[threading.Lock, list[Module], int]] = {}

    def take(self, source: str, stack: ExitStack) -> Module:
        """The module of a source, compiled if need be; given back when `stack` unwinds."""
        with self._lock:
            making, made, users = self._held.get(source, (threading.Lock(), [], 0))
            self._held[source] = (making, made, users + 1)
        stack.callback(self._give_back, source)
        with making:
            if not made:
                made.append(self._compiler.compile(source))
            return made[0]

    def _give_back(self, source: str) -> None:
        with self._lock:
            making, made, users = self._held[source]
            if users > 1:
                self._held[source] = (making, made, users - 1)
                return
            del self._held[source]
        for module in made:
            module.close()


@dataclass(slots=True)
class _Standing:
    """A rung that stands: how it is read, what it costs to let go. source: the C of its maps.

    failures: readings that failed since the latest good one, `last`. calm: the status's note
    before them; trouble: the one that tells of them. one_in, map_memory: as in Status and Cost.
    since: when it was attached (monotonic). changed: asked at each reading for what is to be said;
    said: the latest. resting: only until a better one stands. base: what is added to what it
    counts; opened: what it had counted when its successor was opened.
    """

    rung: Rung
    read: Callable[[], Reading]
    stack: ExitStack
    programs: list[int]
    held: list[Held]
    source: str
    one_in: int = 1
    map_memory: int | None = None
    note: str = ""
    epoch: int = 0
    changed: Sequence[Callable[[], str]] = ()
    said: str = ""
    resting: bool = False
    base: Counted | None = None
    opened: Counted | None = None
    failures: int = 0
    last: Sample | None = None
    calm: str = ""
    trouble: str = ""
    since: float = field(default_factory=time.monotonic)


class Attachment:
    """One hook on one target. Thread-safe; `climb` may run long while `read` goes on."""

    def __init__(
        self,
        hook: Hook,
        modules: Modules,
        target: str | None = None,
        ifindex: int = 0,
        *,
        observe_only: bool = False,
        rows: RowLimit | None = None,
    ) -> None:
        self.hook = hook
        self._rows = rows
        self.ifindex = ifindex
        self._modules = modules
        self._observe_only = observe_only
        self._lock = threading.Lock()
        self._climbing = threading.Lock()
        self._standing: _Standing | None = None
        self._status = Status(HookId(hook.name, target))
        self._one_in = 1
        self._asked = self._cut = False
        self.kept = False
        self._why = ""
        self._pinned: str | None = None
        self._broke: Refusal | None = None
        self._again_at: float | None = None
        self._pause = FIRST_PAUSE
        self._past: Counted | None = None
        self._epoch = 0
        self._unsaid: list[Row] = []

    @property
    def status(self) -> Status:
        return self._status

    def rename(self, target: str) -> None:
        """The interface has another name now; what is attached stays."""
        with self._lock:
            self._status = replace(self._status, id=HookId(self.hook.name, target))

    # -- attaching -----------------------------------------------------------------------------

    def rest(self) -> None:
        """Stands on the first passive rung at once, if there is one, until `climb` has ended.

        What stands already goes on, unless it is where a better rung may want to be.
        """
        standing = self._standing
        if standing is not None and not standing.resting and not _seats(standing.rung):
            return
        passive = next((r for r in self.hook.ladder if r.passive), None)
        note = "attaching"
        if passive is not None:
            try:
                self._take(self._stand(passive), (), State.ATTACHING, note)
                return
            except Exception as raised:
                note = self._refusal_of("attaching", raised).why
        self._say(State.ATTACHING, note=note)

    def climb(self, *, pinned: str | None = None, asked: bool = False) -> Status:
        """Walks the ladder from its best rung, or tries only the pinned one.

        asked: a person wants it, so rungs that outlive the process are allowed. Raises nothing:
        what was refused, or raised by our own code, is in the status, whose state is FAILED if
        nothing stood.
        """
        with self._climbing:
            self._broke, self._pause = None, FIRST_PAUSE
            return self._climb(pinned, asked)

    def _climb(self, pinned: str | None, asked: bool, *, again: bool = False) -> Status:
        self._asked, self._pinned, self._again_at = asked, pinned, None
        refused: list[Refusal] = []
        taken: set[str] = set()
        short = False
        for rung in self.hook.ladder:
            if pinned is not None and rung.name != pinned:
                continue
            try:
                self._allow(rung, taken, asked=asked, pinned=pinned is not None)
                standing = self._standing_on(rung, again=again) or self._stand(rung)
            except Exception as raised:
                refusal = self._refusal_of(f"attaching {rung.name} of", raised)
                refused.append(_refusal(rung, refusal))
                short = short or passing(refusal)
                if isinstance(refusal, Busy):
                    taken |= _seats(rung)
                continue
            state = State.PASSIVE if rung.passive else State.ATTACHED
            broke, self._broke = self._broke, None
            after = f"attached again after this: {broke.why}" if broke is not None else ""
            note = "; ".join(filter(None, (standing.note, after)))
            self._take(standing, refused, state, note, pinned=pinned is not None)
            self._try_again_later(short)
            return self._status
        broke = self._broke
        if broke is not None:
            refused.insert(0, broke)
        self._let_go(self._standing, refused)
        self._say(State.FAILED, refused, pinned=pinned is not None)
        self._try_again_later(short or broke is not None)
        return self._status

    def _refusal_of(self, doing: str, raised: BaseException) -> ProbeError:
        """Return whatever was raised as a refusal: in one place, so that nothing gets past it."""
        return as_refusal(raised, f"{doing} {self.hook.name}")

    # -- trying again --------------------------------------------------------------------------

    def _try_again_later(self, wanted: bool) -> None:
        """Never what sits in a data path or outlives the process: a person attaches that."""
        rung = self.hook.rung(self._pinned or "")
        if rung is not None and (rung.lasting or self.hook.only_pinned(rung)):
            return
        if not wanted or self.hook.reach is Reach.DATA_PATH:
            return
        self._again_at = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    @property
    def due(self) -> bool:
        """Whether it failed by an exception, or for want of something, a while ago."""
        return self._again_at is not None and time.monotonic() >= self._again_at

    def climb_again(self) -> Status:
        """The same climb once more where it is `due`; what stands on the same rung stays."""
        with self._climbing:
            return self._climb(self._pinned, asked=False, again=True) if self.due else self._status

    def fail(self, raised: BaseException) -> None:
        """Nothing could even be tried (no thread to climb in): says so, and tries again later."""
        refused, resting = [_unread(None, self._refusal_of("attaching", raised))], self._standing
        if resting is None:
            self._say(State.FAILED, refused)
        elif self._status.state is State.ATTACHING:
            self._take(resting, refused, State.PASSIVE, resting.note)
        self._try_again_later(True)

    def _allow(self, rung: Rung, taken: set[str], *, asked: bool, pinned: bool) -> None:
        """Raises the refusal of a rung that is not to be tried at all."""
        if rung.passive:
            return
        in_path = self.hook.reach_of(rung) is Reach.DATA_PATH
        if self._observe_only and (rung.lasting or in_path):
            raise Denied("--observe-only: nothing is attached in a data path")
        if self.hook.only_pinned(rung) and not pinned:
            raise Denied(
                "it would sit in the data path, so it is taken only where a person names it",
                remedy=f"Pin it: --rung {self.hook.name}={rung.name}.",
            )
        if rung.lasting and not asked:
            raise Denied(
                "it would outlive this process, so it is taken on a person's word only",
                remedy="Attach it by key, or with --attach.",
            )
        if taken & _seats(rung):
            raise Busy("the same seat is taken; nobody is replaced")
        if (veto := features.veto(rung, self.ifindex)) is not None:
            raise veto

    def _standing_on(self, rung: Rung, *, again: bool) -> _Standing | None:
        """What stands already, if the ladder ends there: its numbers, and so its rates, go on.

        Where another rung, or the same one anew, would count into the same maps, it makes way.
        """
        standing = self._standing
        if standing is None:
            return None
        one_in = self._one_in if rung.samples else 1
        if standing.rung is rung:
            as_wanted = standing.one_in == one_in and not _taken(standing)
            if again or standing.resting or as_wanted:
                return standing
        target = self._status.id.target
        if rung.source and rung.source_for(target, one_in) == standing.source:
            self._drop()
        return None

    def _stand(self, rung: Rung) -> _Standing:
        """Attaches a rung whole, or not at all."""
        with ExitStack() as stack:
            programs: list[int] = []
            held: list[Held] = []
            notes = [rung.misses] if rung.misses else []
            tables: Mapping[str, Table] = {}
            functions: Mapping[str, bytes] = {}
            maps: Mapping[str, int] = {}
            iterators: dict[str, Callable[[], bytes]] = {}
            one_in = self._one_in if rung.samples else 1
            source = ""
            if rung.source:
                source = rung.source_for(self._status.id.target, one_in)
                module = self._modules.take(source, stack)
                tables, functions, maps = module.tables, module.functions, module.fds
            for program in rung.programs:
                insns = functions[program.function]
                try:
                    with ExitStack() as attaching:
                        fd = bpf_program.load(program.point, insns, program.function)
                        attaching.callback(os.close, fd)
                        attached = program.point.attach(fd, self.ifindex, maps)
                        attaching.callback(attached)
                        stack.push(attaching.pop_all())
                except ProbeError as refusal:
                    if not program.optional:
                        raise
                    notes.append(f"{program.without}: {refusal.why}")
                    continue
                programs.append(fd)
                held.append(attached)
                if program.point.iterates and attached.link is not None:
                    iterators[program.function] = partial(bpf.iterate, attached.link)
            target = self._status.id.target
            memory = None if rung.passive else _memory(maps.values())
            ids = tuple(bpf.prog_info(fd).id for fd in programs)
            attach = _attaching(programs)
            following = stack.enter_context(ExitStack())
            self._note_opening()
            read = rung.open(
                Opening(
                    self.hook,
                    tables,
                    target,
                    self.ifindex,
                    ids,
                    functions,
                    attach,
                    following,
                    iterators,
                )
            )
            if one_in > 1:
                notes.insert(0, self._why)
            if self.kept:
                notes.insert(0, KEPT)
            note = "; ".join(dict.fromkeys(notes))
            files = replaced_files.probed(rung.programs, functions, attach, following)
            changed = [
                *(file.look for file in files),
                *(f for f in (rung.changed,) if f is not None),
            ]
            return _Standing(
                rung,
                read,
                stack.pop_all(),
                programs,
                held,
                source,
                one_in,
                memory,
                note,
                changed=changed,
            )

    def _take(
        self,
        standing: _Standing,
        refused: Iterable[Refusal],
        state: State,
        note: str,
        *,
        pinned: bool = False,
    ) -> None:
        with self._lock:
            before = self._standing
            if before is not standing:
                note = "; ".join(filter(None, (note, self._follow(before, standing))))
            self._standing, standing.resting = standing, state is State.ATTACHING
            self._status = Status(
                self._status.id,
                state,
                standing.rung.name,
                tuple(refused),
                note,
                pinned,
                standing.one_in,
            )
        if before is not None and before is not standing:
            before.stack.close()

    def _say(
        self,
        state: State,
        refused: Iterable[Refusal] = (),
        *,
        note: str = "",
        pinned: bool = False,
    ) -> None:
        with self._lock:
            self._status = Status(self._status.id, state, None, tuple(refused), note, pinned)

    def _drop(self, *, going_on: bool = True) -> None:
        if self._rows is not None:
            self._rows.forget(self._status.id)
        with self._lock:
            standing, self._standing = self._standing, None
            if going_on:
                self._remember(standing)
        if standing is not None:
            standing.stack.close()

    # -- totals of what stood before -----------------------------------------------------------

    def _note_opening(self) -> None:
        """What stands has counted so much before its successor is opened."""
        with self._lock:
            standing = self._standing
            if _goes_on(standing):
                with suppress(Exception):  # what was read last will do
                    standing.opened = self._counted(standing)

    def _remember(self, standing: _Standing | None) -> None:
        """What it has counted until now, when it is let go of."""
        if not _goes_on(standing):
            return
        try:
            now = self._counted(standing)
        except Exception:
            if (last := standing.last) is None:
                return
            now = Counted(last.rows, last.lost, last.unlogged)
        self._past = carried.ended(self.hook, standing.opened, now)

    def _follow(self, before: _Standing | None, standing: _Standing) -> str:
        """Adds what was counted before to what it will count; else returns since when it counts."""
        some = self._begun(standing) if _goes_on(before) else Counted()
        self._remember(before)
        past = self._past
        if past is not None and standing.rung.from_zero and (self._epoch + 1) % SERIES:
            first = carried.halfway(self.hook, some, self._begun(standing))
            self._epoch += 1
            standing.epoch = self._epoch
            standing.base = carried.base(self.hook, past, first)
            return ""
        standing.epoch = next(_series) * SERIES
        if standing.rung.from_zero:
            self._epoch = standing.epoch
        return f"{ANEW}{time.strftime('%H:%M:%S')}" if past is not None and past.rows else ""

    def _begun(self, standing: _Standing) -> Counted:
        """What it has counted already, beside the one before it."""
        with suppress(Exception):
            return self._counted(standing)
        return Counted()

    def _counted(self, standing: _Standing) -> Counted:
        """Its totals now. What its log has comes with the next sample."""
        reading, _ = _reading(standing)
        self._unsaid += reading.log
        return self._total(standing, reading)

    def _total(self, standing: _Standing, reading: Reading) -> Counted:
        keys, found = self.hook.places.keys, reading.rows
        if standing.one_in > 1:
            found = [_scaled(self.hook, row, standing.one_in) for row in found]
        rows = {tuple([row[i] for i in keys]): row for row in found}
        now = Counted(rows, reading.lost, reading.unlogged)
        return now if standing.base is None else carried.total(self.hook, standing.base, now)

    def _let_go(self, standing: _Standing | None, refused: list[Refusal]) -> None:
        """Drops what stood; what cannot be undone just now is one refusal more."""
        rung = self._status.rung
        try:
            if standing is self._standing:
                self._drop()
        except Exception as raised:  # if it lasts it is recorded, so the next start removes it
            stuck = as_refusal(raised, "detaching")
            why = f"not detached yet: {stuck.why}"
            refused.append(_unread(rung, ProbeError(why, errno=stuck.errno)))

    def detach(self, note: str = "") -> Status:
        """Lets go of everything, in reverse order. note: why, where nobody asked for it."""
        with self._climbing:
            self._again_at = self._broke = None
            self._drop(going_on=bool(note))
            if not note:
                self._past = None  # whoever wants to begin at zero detaches and attaches it
            self._cut = bool(note)
            self._say(State.DETACHED, note=note)
            return self._status

    # -- the budget ----------------------------------------------------------------------------

    @property
    def samples(self) -> bool:
        """Whether the rung that it stands on can count one event in so many."""
        standing = self._standing
        return standing is not None and standing.rung.samples

    def cost(self) -> Cost | None:
        """What its programs cost so far; None where it has none."""
        with self._lock:
            return None if self._standing is None else _cost(self._standing)[0]

    def slow(self, one_in: int, note: str) -> Status:
        """Attaches the same again, to count one event in so many; its totals go on.

        one_in: 1 is all. note: why, while not all are counted.
        """
        with self._climbing:
            before = self._status
            self._one_in, self._why, self._cut = one_in, note, one_in > 1
            return self._climb(before.rung if before.pinned else None, self._asked)

    @property
    def epoch(self) -> int:
        """Of what stands now, 0 for nothing: see `Sample.epoch`."""
        standing = self._standing
        return standing.epoch if standing is not None else 0

    @property
    def cut(self) -> bool:
        """Whether the budget has slowed or detached it, and nobody attached it again."""
        return self._cut

    def keep(self) -> None:
        """Whatever it costs, on a person's word: the next climb counts every event."""
        self.kept, self._one_in, self._cut = True, 1, False

    # -- reading -------------------------------------------------------------------------------

    def read(self) -> Sample:
        """One sample; without rows where nothing stands. Raises nothing.

        A reading that fails for the moment gives the sample before once more, and the status says
        why. A target that has gone, an exception that nobody foresaw, and too many failures in a
        row end the attachment; a program that somebody else detached leaves the hook on its
        counters, if it has some.
        """
        with self._lock:
            standing = self._standing
            if standing is None:
                return self._sample(None, Reading(), None)
            try:
                sample = self._read(standing)
                taken = any(held.taken() for held in standing.held)
            except Exception as raised:
                problem = self._refusal_of("reading", raised)
                standing.failures += 1
                if _bearable(problem, standing.failures):
                    return self._once_more(standing, problem)
                taken = False
            else:
                if not taken:
                    self._calm(standing)
                    standing.last = replace(sample, status=self._status)
                    return standing.last
                problem = Gone("somebody else detached it or took its place")
        return self._robbed(standing, problem) if taken else self._end(standing, problem)

    def _read(self, standing: _Standing) -> Sample:
        reading, cost = _reading(standing)
        self._tell(standing, [say() for say in standing.changed])
        return self._sample(standing, reading, cost)

    def _tell(self, standing: _Standing, sentences: Iterable[str]) -> None:
        """Puts what is to be said at the end of the status's note, in place of what was said."""
        said = "; ".join(filter(None, sentences))
        if said != standing.said:
            note = self._status.note.removesuffix(standing.said).removesuffix("; ")
            self._status = replace(self._status, note="; ".join(filter(None, (note, said))))
            standing.said = said

    def unread(self) -> Sample:
        """The sample before, where no thread could be had to read: for the event loop, as it
        waits for nobody."""
        standing = self._standing
        last = standing.last if standing is not None else None
        if last is None:
            return self._sample(None, Reading(), None)
        return replace(last, status=self._status, log=())

    def _once_more(self, standing: _Standing, failed: ProbeError) -> Sample:
        """The sample before, as old as it is, so that no rate is made of what was not read."""
        if standing.failures == 1:
            standing.calm = self._status.note
            said = f"{UNREAD}{time.strftime('%H:%M:%S')}: {failed.why}"
            standing.trouble = "; ".join(filter(None, (standing.note, said)))
            self._status = replace(self._status, note=standing.trouble)
        return self.unread()

    def _calm(self, standing: _Standing) -> None:
        if standing.failures and self._status.note == standing.trouble:
            self._status = replace(self._status, note=standing.calm)
        standing.failures = 0

    def _end(self, standing: _Standing, problem: ProbeError) -> Sample:
        if standing is not self._standing:
            return self.unread()  # it has been attached anew meanwhile, or let go of
        broke, pinned = _unread(self._status.rung, problem), self._status.pinned
        refused = [*self._status.refused, broke]
        self._let_go(standing, refused)
        self._say(State.FAILED, refused, pinned=pinned)
        if not isinstance(problem, Gone):
            self._broke = broke
            if time.monotonic() - standing.since > 2 * self._pause:
                self._pause = FIRST_PAUSE  # it stood well for a while
            self._try_again_later(True)
        return self._sample(None, Reading(), None)

    def _robbed(self, standing: _Standing, problem: ProbeError) -> Sample:
        """Lets go of what is left of a rung, and stands on the counters, as when nothing stood."""
        if not self._climbing.acquire(blocking=False):
            return standing.last or self._sample(None, Reading(), None)  # it is being attached anew
        try:
            status = self._status
            passive = next((r for r in self.hook.ladder if r.passive), None)
            if passive is None or status.pinned:
                return self._end(standing, problem)
            refused = (*status.refused, _unread(status.rung, problem))
            try:
                self._take(self._stand(passive), refused, State.PASSIVE, refused[-1].why)
            except Exception as also:
                return self._end(standing, self._refusal_of("attaching", also))
            return self.read()
        finally:
            self._climbing.release()

    def _sample(self, standing: _Standing | None, reading: Reading, cost: Cost | None) -> Sample:
        now, log = time.monotonic(), (*self._unsaid, *reading.log)
        self._unsaid = []
        counted = self._total(standing, reading) if standing is not None else Counted()
        rows, there = counted.rows, len(counted.rows)
        if self._rows is not None:
            found = self._rows.fit(self._status.id, self.hook, list(rows.values()))
            if len(found) < there:
                keys = self.hook.places.keys
                rows = {tuple([row[i] for i in keys]): row for row in found}
        return Sample(
            status=self._status,
            time=now,
            wall=time.time(),
            epoch=standing.epoch if standing is not None else 0,
            rows=rows,
            lost=counted.lost,
            unlogged=counted.unlogged,
            cost=cost,
            log=log,
            from_zero=standing.rung.from_zero if standing is not None else True,
            forgotten=there - len(rows),
        )


def _goes_on(standing: _Standing | None) -> TypeGuard[_Standing]:
    """Whether what follows it adds its totals to its own."""
    return standing is not None and not standing.resting and standing.rung.from_zero


def _taken(standing: _Standing) -> bool:
    """Whether somebody else undid it, as far as the kernel tells just now."""
    with suppress(OSError, ProbeError):
        return any(held.taken() for held in standing.held)
    return False


def _reading(standing: _Standing) -> tuple[Reading, Cost | None]:
    reading, (cost, missed) = standing.read(), _cost(standing)
    return replace(reading, lost=reading.lost + missed) if missed else reading, cost


def _attaching(programs: list[int]) -> Attach:
    """What a rung attaches by itself counts among its programs while it is there."""

    def attach(point: Point, insns: bytes, name: str, stack: ExitStack) -> int:
        with ExitStack() as attaching:
            fd = bpf_program.load(point, insns, name)
            attaching.callback(os.close, fd)
            attaching.callback(point.attach(fd, 0, {}))
            id = bpf.prog_info(fd).id
            programs.append(fd)  # last: from now on, only the thread that reads may let go of it
            attaching.callback(programs.remove, fd)
            stack.push(attaching.pop_all())
            return id

    return attach


def _cost(standing: _Standing) -> tuple[Cost | None, int]:
    """What its programs cost, and how many events they missed. None for a rung that can have no
    program; one that follows may have none at the moment."""
    if standing.rung.passive:
        return None, 0
    run_ns = runs = missed = 0
    for fd in standing.programs:
        ns, times, not_run = bpf.prog_runs(fd)
        run_ns, runs, missed = run_ns + ns, runs + times, missed + not_run
    return Cost(runs, run_ns, standing.map_memory), missed


def _memory(maps: Iterable[int]) -> int | None:
    """Bytes that these maps are charged; None where the kernel does not tell."""
    told = [objects.fd_field(f"/proc/self/fdinfo/{fd}", "memlock") for fd in maps]
    return None if None in told else sum(size or 0 for size in told)


def _scaled(hook: Hook, row: Row, factor: int) -> Row:
    """A row of one event in `factor`: what adds up, times that."""
    scaled = list(row)
    for place, _, histogram in hook.places.sums:
        value = row[place]
        if histogram and isinstance(value, tuple):
            scaled[place] = tuple(n * factor for n in value)
        elif isinstance(value, int):
            scaled[place] = value * factor
    return tuple(scaled)


def _refusal(rung: Rung, error: ProbeError) -> Refusal:
    log = error.log if isinstance(error, LoadFailed) else ""
    return Refusal(rung.name, error.code, error.why, error.remedy, log)


def _unread(rung: str | None, problem: ProbeError) -> Refusal:
    """Why something that stood does not stand any more."""
    return Refusal(rung or "", problem.code, problem.why, problem.remedy)


def _bearable(problem: ProbeError, failures: int) -> bool:
    """Whether a reading that failed, the so-manieth in a row, is only tried again."""
    if passing(problem):
        return True
    return failures < MOST_FAILURES and not isinstance(problem, Gone | Unexpected)


def _seats(rung: Rung) -> set[str]:
    """The places that only one program can take, among those the rung wants."""
    return {p.point.seat for p in rung.programs if p.point.seat}
