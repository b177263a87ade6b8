"""The owner of what is attached: walks a hook's ladder, keeps every refusal, reads, and releases.

One `Attachment` holds what one hook on one target has attached. It releases in reverse order, and
what was attached before an error in the middle goes at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import replace

from probes.errors import (
    Busy,
    Gone,
    LoadFailed,
    ProbeError,
    Unexpected,
    as_refusal,
    passing,
)
from probes.ladder import admission, notes, rigging
from probes.ladder.modules import Modules
from probes.ladder.releasing import Releaser
from probes.ladder.retry import RetryClock
from probes.ladder.row_limit import RowLimit
from probes.ladder.sampler import Sampler
from probes.ladder.standing import Standing
from probes.ladder.totals import SeriesTotals
from probes.model import (
    Hook,
    HookId,
    Reach,
    Refusal,
    Rung,
    Sample,
    State,
    Status,
)

KEPT_BY_USER = "kept attached at your request: the budget does not apply"
MOST_FAILURES = 10
"""Consecutive failed readings until an attachment is given up.

Unlimited where the host is short of something (`errors.passing`).
"""


class Attachment:
    """One hook on one target. Thread-safe; `climb` may run long while `read` goes on.

    `_climbing` is held by whatever attaches or releases, and `_lock` while the rung or the status
    is looked at or changed. What only wants to help (`stand_passive`, a reading that falls back)
    leaves it to the holder of the former. Climbs and detachments that wait for it in several
    threads have numbers (`request`): only the latest is done.
    """

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
        self.ifindex = ifindex
        self._modules = modules
        self._observe_only = observe_only
        self._lock = threading.Lock()
        self._climbing = threading.Lock()
        self._standing: Standing | None = None
        self._status = Status(HookId(hook.name, target))
        self._one_in = 1
        self._asked = self._cut = False
        self.kept = False
        self._why = ""
        self._pinned: str | None = None
        self._broke: Refusal | None = None
        self.retry = RetryClock()
        self._latest, self._asking = 0, threading.Lock()
        self._releaser = Releaser()
        self._totals = SeriesTotals(hook)
        self._sampler = Sampler(hook, self._totals, rows)

    @property
    def status(self) -> Status:
        return self._status

    @property
    def epoch(self) -> int:
        """The epoch of the present rung, 0 without one: see `Sample.epoch`."""
        standing = self._standing
        return standing.epoch if standing is not None else 0

    def rename(self, target: str) -> None:
        """Take the interface's new name; what is attached stays."""
        with self._lock:
            self._sampler.forget(self._status.id)
            self._status = replace(self._status, id=HookId(self.hook.name, target))

    # -- attaching -----------------------------------------------------------------------------

    def request(self) -> int:
        """Return the number of a new request. What was requested before it is not begun any more.

        For a climb or a detachment that is to be done in another thread, some time later.
        """
        with self._asking:
            self._latest += 1
            return self._latest

    def is_latest(self, request: int) -> bool:
        return request == self._latest

    def stand_passive(self) -> None:
        """Stand on the first passive rung at once, if there is one, until `climb` has ended.

        A rung that is attached already stays, unless it is where a better rung may want to be; so
        does one that is being attached or released.
        """
        if self._climbing.acquire(blocking=False):
            try:
                self._stand_passive()
            finally:
                self._climbing.release()

    def _stand_passive(self) -> None:
        standing = self._standing
        if standing is not None and not standing.resting and not admission.seats(standing.rung):
            return
        note, passive = "attaching", self._passive()
        if passive is not None:
            try:
                self._install(self._stand(passive), (), State.ATTACHING, note)
                return
            except Exception as raised:
                note = self._refusal_of("attaching", raised).why
        self._set_status(State.ATTACHING, note=note)

    def climb(
        self, *, pinned: str | None = None, asked: bool = False, request: int | None = None
    ) -> Status:
        """Walk the ladder from its best rung, or try only the pinned one.

        asked: the user wants it, so rungs that outlive the process are allowed, and what the budget
        had cut is kept from now on whatever it costs. Raises nothing: what was refused, or raised
        by our own code, is in the status, whose state is FAILED if no rung could be attached.
        """
        request = self.request() if request is None else request
        with self._climbing:
            if not self.is_latest(request):
                return self._status
            if asked and self._cut:
                self.kept, self._one_in, self._cut = True, 1, False
            self._broke = None
            self.retry.begin()
            return self._climb(pinned, asked)

    def compile_ahead(
        self, *, pinned: str | None = None, asked: bool = False, request: int
    ) -> None:
        """Compile what `climb` will need, so that it is on disk by then.

        Raises nothing: what is refused now will be refused again.
        """
        with self._climbing:
            if not self.is_latest(request):
                return
            self._asked, self._pinned = asked, pinned
            for rung in self.hook.ladder:
                if rung.passive or (pinned is not None and rung.name != pinned):
                    continue
                with suppress(Exception), ExitStack() as stack:
                    self._admit(rung, set())
                    if rung.source:
                        self._modules.take(rung.source_for(self._status.id.target), stack)
                    return

    def climb_again(self) -> Status:
        """Repeat the same climb where it is `due`; an unchanged rung stays."""
        with self._climbing:
            return self._climb(self._pinned, asked=False, again=True) if self.due else self._status

    @property
    def due(self) -> bool:
        """Return whether it failed by an exception, or for want of something, a while ago."""
        return self.retry.due

    def fail(self, raised: BaseException) -> None:
        """Report that nothing could even be tried (no thread to climb in), and try again later."""
        if not self._climbing.acquire(blocking=False):
            return  # somebody else has a thread to try it in
        try:
            refused, resting = [_ended(None, self._refusal_of("attaching", raised))], self._standing
            if resting is None:
                self._set_status(State.FAILED, refused)
            elif self._status.state is State.ATTACHING:
                self._install(resting, refused, State.PASSIVE, resting.note)
            self._try_again_later()
        finally:
            self._climbing.release()

    def _climb(self, pinned: str | None, asked: bool, *, again: bool = False) -> Status:
        self._asked, self._pinned = asked, pinned
        self.retry.never()
        with suppress(Exception):  # what is still there is in our own way: its rung will say so
            self._releaser.again()
        refused: list[Refusal] = []
        taken: set[str] = set()
        short = False
        for rung in self.hook.ladder:
            if pinned is not None and rung.name != pinned:
                continue
            try:
                self._admit(rung, taken)
                standing = self._standing_on(rung, again=again) or self._stand(rung)
            except Exception as raised:
                refusal = self._refusal_of(f"attaching {rung.name} of", raised)
                refused.append(_refusal(rung, refusal))
                if self._releaser.waits:
                    refused.append(_stuck(rung.name, ProbeError("what was attached before that")))
                short = short or passing(refusal)
                if isinstance(refusal, Busy):
                    taken |= admission.seats(rung)
                continue
            self._arrive(standing, refused)
            if short:
                self._try_again_later()
            return self._status
        return self._arrive_nowhere(refused, short=short)

    def _arrive(self, standing: Standing, refused: Iterable[Refusal]) -> None:
        state = State.PASSIVE if standing.rung.passive else State.ATTACHED
        broke, self._broke = self._broke, None
        after = f"attached again after this: {broke.why}" if broke is not None else ""
        note = notes.joined(standing.note, after)
        self._install(standing, refused, state, note, pinned=self._pinned is not None)

    def _arrive_nowhere(self, refused: list[Refusal], *, short: bool) -> Status:
        broke = self._broke
        if broke is not None:
            refused.insert(0, broke)
        refused += self._let_go(self._standing)
        self._set_status(State.FAILED, refused, pinned=self._pinned is not None)
        if short or broke is not None:
            self._try_again_later()
        return self._status

    def _admit(self, rung: Rung, taken: set[str]) -> None:
        admission.check(
            self.hook,
            rung,
            self.ifindex,
            taken,
            asked=self._asked,
            pinned=self._pinned is not None,
            observe_only=self._observe_only,
        )

    def _refusal_of(self, doing: str, raised: BaseException) -> ProbeError:
        """Return any exception as a refusal: in one place, so that nothing gets past it."""
        return as_refusal(raised, f"{doing} {self.hook.name}")

    def _try_again_later(self) -> None:
        """Schedule another try.

        Never for what sits in a data path or outlives the process: only the user attaches that.
        """
        rung = self.hook.rung(self._pinned or "")
        if rung is not None and (rung.lasting or self.hook.only_pinned(rung)):
            return
        if self.hook.reach is not Reach.DATA_PATH:
            self.retry.later()

    def _passive(self) -> Rung | None:
        return next((r for r in self.hook.ladder if r.passive), None)

    def _standing_on(self, rung: Rung, *, again: bool) -> Standing | None:
        """Return the present rung, if the ladder ends there: its numbers, and so its rates, go on.

        Where another rung, or the same one again, would count into the same maps, it makes way.
        """
        standing = self._standing
        if standing is None:
            return None
        one_in = self._one_in if rung.samples else 1
        if standing.rung is rung:
            as_wanted = standing.one_in == one_in and not standing.known_taken()
            if again or standing.resting or as_wanted:
                return standing
        target = self._status.id.target
        if rung.source and rung.source_for(target, one_in) == standing.source:
            self._drop(standing)
        return None

    def _stand(self, rung: Rung) -> Standing:
        """Attach a rung whole, or not at all."""
        one_in = self._one_in if rung.samples else 1
        said = KEPT_BY_USER if self.kept else "", self._why if one_in > 1 else ""
        place = rigging.Spot(self.hook, self._status.id.target, self.ifindex, one_in)
        try:
            keep = self._releaser.keep
            return rigging.stand(rung, place, self._modules, self._note_opening, keep, *said)
        except BaseException:
            self._forget_opening()
            raise

    def _note_opening(self) -> None:
        with self._lock:
            self._totals.note_opening(self._standing)

    def _forget_opening(self) -> None:
        """Forget the opening, as nothing follows it: what it counts from now on is its own."""
        with self._lock:
            if self._standing is not None:
                self._standing.opened = None

    def _install(
        self,
        standing: Standing,
        refused: Iterable[Refusal],
        state: State,
        note: str,
        *,
        pinned: bool = False,
    ) -> None:
        with self._lock:
            before = self._standing
            if before is not standing:
                note = notes.joined(note, self._totals.follow(before, standing))
            self._standing, standing.resting = standing, state is State.ATTACHING
            standing.said = ""  # it is not in the new note
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
            self._release(before)

    def _release(self, before: Standing) -> None:
        """Release the rung before the present one; what cannot be undone is a refusal more."""
        rung = before.rung.name
        try:
            self._releaser.release(before)
        except Exception as raised:
            with self._lock:
                refused = (*self._status.refused, _stuck(rung, raised))
                self._status = replace(self._status, refused=refused)

    def _set_status(
        self,
        state: State,
        refused: Iterable[Refusal] = (),
        *,
        note: str = "",
        pinned: bool = False,
    ) -> None:
        with self._lock:
            self._status = Status(self._status.id, state, None, tuple(refused), note, pinned)

    # -- letting go ----------------------------------------------------------------------------

    def detach(self, *, request: int | None = None) -> Status:
        """Release everything, in reverse order.

        Raises what cannot be detached; it may be called again then.
        """
        request = self.request() if request is None else request
        with self._climbing:
            if not self.is_latest(request):
                return self._status
            self._cut = False
            self._totals.begin_at_zero()
            return self._detach("", going_on=False)

    def _detach(self, note: str, *, going_on: bool) -> Status:
        self._broke = None
        self.retry.never()
        rung = self._status.rung
        try:
            self._drop(self._standing, going_on=going_on)
            self._releaser.again()
        except Exception as raised:
            self._set_status(State.FAILED, [_stuck(rung, raised)])
            raise
        self._set_status(State.DETACHED, note=note)
        return self._status

    def _drop(self, standing: Standing | None, *, going_on: bool = True) -> None:
        """Release a rung, if it still is the present one."""
        with self._lock:
            if standing is None or standing is not self._standing:
                return
            self._standing = None
            if going_on:
                self._totals.remember(standing)
            self._sampler.forget(self._status.id)
        self._releaser.release(standing)

    def _let_go(self, standing: Standing | None) -> list[Refusal]:
        """Release a rung; what cannot be undone at the moment is a refusal."""
        rung = self._status.rung
        try:
            self._drop(standing)
        except Exception as raised:  # if it lasts it is recorded, so the next start removes it
            return [_stuck(rung, raised)]
        return []

    # -- the budget ----------------------------------------------------------------------------

    @property
    def samples(self) -> bool:
        """Whether the present rung can count one event in so many."""
        standing = self._standing
        return standing is not None and standing.rung.samples

    def spent(self, lately: float) -> tuple[int, float] | None:
        """Return the nanoseconds that its programs ran, and when; None where it has none.

        lately: for how many seconds what a reading said of it is good enough.
        """
        with self._lock:
            return None if self._standing is None else self._standing.spent(lately)

    def slow(self, one_in: int, note: str) -> Status:
        """Attach the same again, to count one event in so many; its totals go on.

        Nothing is done where somebody has detached it, or attached it to keep it, since that was
        decided. one_in: 1 is all. note: why, while not all are counted.
        """
        with self._climbing:
            if self.kept or not (self._cut or self._counts):
                return self._status
            self._one_in, self._why, self._cut = one_in, note, one_in > 1
            return self._climb(self._pinned, self._asked)

    def cut_off(self, why: str) -> Status:
        """Release everything as `detach` does, for the budget, unless that is out of date.

        Its totals go on once it is attached again.
        """
        with self._climbing:
            if self.kept or not self._counts:
                return self._status
            self._cut = True
            return self._detach(why, going_on=True)

    @property
    def _counts(self) -> bool:
        standing = self._standing
        return standing is not None and not standing.resting

    @property
    def cut(self) -> bool:
        """Whether the budget has slowed or detached it, and nobody attached it again."""
        return self._cut

    # -- reading -------------------------------------------------------------------------------

    def read(self) -> Sample:
        """Return one sample; without rows if nothing is attached. Raises nothing.

        On a transient error, return the previous sample and report the error in the status. A
        target that has gone, an unexpected exception, and too many failures in a row end the
        attachment; if somebody else detaches a program, the hook falls back to its counters, if it
        has any.
        """
        with self._lock:
            standing = self._standing
            if standing is None:
                return self._sampler.empty(self._status)
            try:
                reading, cost = standing.reading()
                said = [say() for say in standing.changed]
                taken = standing.taken()
                sample = self._sampler.sample(standing, self._status, reading, cost)
            except Exception as raised:
                problem = self._refusal_of("reading", raised)
                standing.failures += 1
                if _bearable(problem, standing.failures):
                    return self._once_more(standing, problem)
                taken = False
            else:
                if not taken:
                    self._clear_warning(standing)  # first: `said` is a part of that note
                    if said or standing.said:
                        self._set_note(notes.saying(standing, self._status.note, said))
                    if sample.status is not self._status:
                        sample = replace(sample, status=self._status)
                    standing.keep(sample)
                    return sample
                problem = Gone("somebody else detached it or took its place")
        return self._fall_back(standing, problem) if taken else self._end(standing, problem)

    def unread(self) -> Sample:
        """Return the previous sample, where no thread could be had to read.

        The event loop never waits.
        """
        standing = self._standing
        last = standing.last if standing is not None else None
        if last is None:
            return self._sampler.empty(self._status)
        return replace(last, status=self._status, log=())

    def _set_note(self, note: str) -> None:
        if note != self._status.note:
            self._status = replace(self._status, note=note)

    def _once_more(self, standing: Standing, failed: ProbeError) -> Sample:
        """Return the previous sample with its time, so that no rate is made without a reading."""
        self._set_note(notes.warning(standing, self._status.note, failed))
        return self.unread()

    def _clear_warning(self, standing: Standing) -> None:
        if standing.failures:
            self._set_note(notes.without_warning(standing, self._status.note))
            standing.failures = 0

    def _end(self, standing: Standing, problem: ProbeError) -> Sample:
        """End an attachment that cannot be read, unless it is being attached again or released."""
        if self._climbing.acquire(blocking=False):
            try:
                return self._give_up(standing, problem)
            finally:
                self._climbing.release()
        return self.unread()

    def _give_up(self, standing: Standing, problem: ProbeError) -> Sample:
        if standing is not self._standing:
            return self.unread()
        broke, pinned = _ended(self._status.rung, problem), self._status.pinned
        refused = [*self._status.refused, broke]
        refused += self._let_go(standing)
        self._set_status(State.FAILED, refused, pinned=pinned)
        if not isinstance(problem, Gone):
            self._broke = broke
            self.retry.stood_since(standing.since)
            self._try_again_later()
        return self._sampler.empty(self._status)

    def _fall_back(self, standing: Standing, problem: ProbeError) -> Sample:
        """Release what is left of a rung, and stand on the counters, as when nothing stood."""
        if not self._climbing.acquire(blocking=False):  # it is being attached again
            return self.unread()
        try:
            status, passive = self._status, self._passive()
            if standing is not self._standing or passive is None or status.pinned:
                return self._give_up(standing, problem)
            refused = (*status.refused, _ended(status.rung, problem))
            try:
                self._install(self._stand(passive), refused, State.PASSIVE, refused[-1].why)
            except Exception as also:
                return self._give_up(standing, self._refusal_of("attaching", also))
            return self.read()
        finally:
            self._climbing.release()


def _refusal(rung: Rung, error: ProbeError) -> Refusal:
    log = error.log if isinstance(error, LoadFailed) else ""
    return Refusal(rung.name, error.code, error.why, error.remedy, log)


def _ended(rung: str | None, problem: ProbeError) -> Refusal:
    """Return why a rung that was attached is no longer attached."""
    return Refusal(rung or "", problem.code, problem.why, problem.remedy)


def _stuck(rung: str | None, raised: Exception) -> Refusal:
    stuck = as_refusal(raised, "detaching")
    return _ended(rung, ProbeError(f"not detached yet: {stuck.why}", errno=stuck.errno))


def _bearable(problem: ProbeError, failures: int) -> bool:
    """Return whether a failed reading, the n-th in a row, is only tried again."""
    if passing(problem):
        return True
    return failures < MOST_FAILURES and not isinstance(problem, Gone | Unexpected)
