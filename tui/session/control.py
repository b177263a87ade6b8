"""Attaching, detaching, drop rules: requests, their outcome, and the log of both."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Literal

from probes.drop_rule import DropRule, RuleError
from probes.errors import ProbeError
from probes.model import Enforced, HookId, State, Status
from probes.recording.tape import Timeline
from probes.source import Source
from probes.units import count
from tui.session.drop_rules import Identity, lasting
from tui.session.view import Event

Severity = Literal["information", "warning", "error"]
PROGRESS_AFTER = 0.5
"""Seconds after which attaching is reported as under way."""
CAUTIONS_SECONDS = 5.0
"""Seconds that the check whether a rule may cut somebody off may take."""
MAX_UNDO = 100
"""Detached hooks that can be attached again one after the other."""
STANDS = (State.ATTACHED, State.PASSIVE)


class Control:
    """Carries out requests and logs them.

    tell: shows a toast. now: the time for the log, in Unix and in monotonic seconds.
    """

    MAX_EVENTS = 300
    """Log entries, at most."""

    def __init__(
        self,
        source: Source,
        tell: Callable[[str, Severity], None],
        now: Callable[[], tuple[float, float]],
    ) -> None:
        self._source, self._tell, self._now = source, tell, now
        self.events: deque[Event] = deque(maxlen=self.MAX_EVENTS)
        self._known: dict[HookId, Status] = {}
        self._rules: dict[Identity, Enforced] = {}
        self._detached: list[Status] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def note(self, text: str, role: str) -> None:
        """Log something that nobody did to a hook."""
        self._log(text, role)

    async def attach(
        self, id: HookId, rung: str | None = None, *, quiet: bool = False, unasked: bool = False
    ) -> bool:
        """Attach, only on the given rung if there is one; return whether it is attached.

        quiet: not requested individually, so it is only logged, unless it is refused. unasked:
        requested by nobody, so it is only logged whatever comes of it.
        """
        loop = asyncio.get_running_loop()
        quiet = quiet or unasked
        progress = None if quiet else loop.call_later(PROGRESS_AFTER, self._say_progress, id)
        try:
            status = await self._source.attach(id, rung)
        except ProbeError as error:
            self._refused(id, error, told=not unasked)
            return False
        finally:
            if progress is not None:
                progress.cancel()
        self._known[id] = status
        self._detached = [s for s in self._detached if s.id != id]
        text = _words(status)
        self._log(text, "warn" if status.degraded else "good")
        if not quiet:
            self._tell(text, "warning" if status.degraded else "information")
        return True

    def _say_progress(self, id: HookId) -> None:
        """Say why it takes a while: a program is being compiled, or verified."""
        now = next((s for s in self._source.statuses() if s.id == id), Status(id))
        if now.state is State.ATTACHING:
            text = f"{id}: {now.note or 'attaching'}..."
            self._log(text, "muted")
            self._tell(text, "information")

    async def detach(self, id: HookId, *, quiet: bool = False) -> None:
        before = next((s for s in self._source.statuses() if s.id == id), Status(id))
        try:
            status = await self._source.detach(id)
        except ProbeError as error:
            self._refused(id, error)
            return
        self._known[id] = status
        self._log(f"{id} detached", "muted")
        if not quiet:
            others = [s for s in self._detached if s.id != id]
            self._detached = [*others, before][-MAX_UNDO:]
            self._tell(f"{id} detached", "information")

    def last_detached(self) -> Status | None:
        """Return what the user detached last, with its status, unless it was attached again."""
        return self._detached[-1] if self._detached else None

    async def cautions(self, interface: str, rule: DropRule) -> tuple[str, ...]:
        """Return warnings to show before that rule is confirmed; take at most CAUTIONS_SECONDS."""
        try:
            async with asyncio.timeout(CAUTIONS_SECONDS):
                return await self._source.cautions(interface, rule)
        except TimeoutError:
            return ("it could not be checked in time whether this may cut you off",)
        except (ProbeError, RuleError):
            return ()  # it may not be, which is said when it is added

    async def add_rule(self, interface: str, rule: DropRule) -> None:
        """Start dropping; report a refusal."""
        try:
            made = await self._source.add_rule(interface, rule)
        except (ProbeError, RuleError) as error:
            remedy = f". {error.remedy}" if isinstance(error, ProbeError) and error.remedy else ""
            code = f" ({error.code})" if isinstance(error, ProbeError) else ""
            self._log(f"{interface}: rule not added: {error}{code}", "bad")
            self._tell(f"{interface}: rule not added: {error}{code}{remedy}", "error")
            return
        self._rules[interface, rule.what] = made
        text = _rule_words(made)
        self._log(text, "warn")
        self._tell(text, "warning")

    async def remove_rule(self, interface: str, rule: DropRule) -> None:
        known = self._rules.pop((interface, rule.what), None)
        try:
            await self._source.remove_rule(interface, rule)
        except ProbeError as error:
            self._log(f"{interface}: {rule.what} not removed: {error.why}", "bad")
            self._tell(f"{interface}: {rule.what} not removed: {error.why}", "error")
            return
        dropped = f" after {count(known.packets)} packets" if known else ""
        text = f"{interface}: {rule.what} removed{dropped}"
        self._log(text, "muted")
        self._tell(text, "information")

    def watch_rules(self, rules: tuple[Enforced, ...]) -> None:
        """Log which rules were added, ended, or are no longer enforced."""
        there = {(e.interface, e.rule.what): e for e in rules}
        for id, e in there.items():
            before = self._rules.get(id)
            if before is None or (before.rung is not None and e.rung is None):
                self._log(_rule_words(e), "warn" if e.rung else "bad")
                if e.rung is None:
                    self._tell(_rule_words(e), "error")
                elif before is None:  # of --drop, or another's: not confirmed here
                    self._start(self._warn(e.interface, e.rule))
        for id in self._rules.keys() - there.keys():
            text = f"{id[0]}: {id[1]} ended after {count(self._rules[id].packets)} packets"
            self._log(text, "muted")
            self._tell(text, "information")
        self._rules = there

    async def _warn(self, interface: str, rule: DropRule) -> None:
        for caution in await self.cautions(interface, rule):
            text = f"{interface}: {rule.what}: {caution}"
            self._log(text, "warn")
            self._tell(text, "warning")

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def watch(self, statuses: tuple[Status, ...]) -> None:
        """Log what was attached or detached by itself."""
        for status in statuses:
            before = self._known.get(status.id)
            if before == status or status.state is State.ATTACHING:
                continue
            self._known[status.id] = status
            if before is None and status.state is State.DETACHED:
                continue
            if before is None or _stand(before) != _stand(status):
                self._log(_words(status), _role(status))
                if _cut(status):
                    self._tell(_words(status), "warning")

    def go_to(self, timeline: Timeline, number: int) -> None:
        """Restore the log and statuses as they were at a moment of a recording."""
        tick = timeline.at(number)
        self._known = {s.id: s for s in tick.statuses}
        self._rules = {(e.interface, e.rule.what): e for e in tick.rules}
        self.events.clear()
        for n in range(timeline.first, number + 1):
            moment = timeline.moment(n)
            self.events.extend(Event(moment.wall, text, "muted") for text in moment.events)

    def _refused(self, id: HookId, error: ProbeError, *, told: bool = True) -> None:
        code = f" ({error.code})" if error.errno else ""  # first: the end of a line may be cut
        text = f"{id} not attached{code}: {error.why.removeprefix(f'{id}: ')}"
        remedy = f". {error.remedy}" if error.remedy else ""
        self._known[id] = next((s for s in self._source.statuses() if s.id == id), Status(id))
        self._log(text, "bad" if told else "muted")
        if told:
            self._tell(text + remedy, "error")

    def _log(self, text: str, role: str) -> None:
        wall, time = self._now()
        self.events.append(Event(wall, text, role, time))


def _stand(status: Status) -> tuple[object, ...]:
    return status.state, status.rung, status.one_in


def _cut(status: Status) -> bool:
    """Return whether the budget slowed the hook, or detached it without a request."""
    return status.one_in > 1 or (status.state is State.DETACHED and bool(status.note))


def _role(status: Status) -> str:
    if _cut(status):
        return "warn"
    if status.state is State.FAILED:
        return "bad"
    return "warn" if status.degraded else "good" if status.state in STANDS else "muted"


def _words(status: Status) -> str:
    """Describe the hook's status, and why it is on no higher rung."""
    if _cut(status) and status.rung is None:
        return f"{status.id} {status.note}"  # which says that it is detached
    rung = f" on {status.rung}" if status.rung else ""
    refused = "; ".join(f"{r.rung} refused ({r.error}): {r.why}" for r in status.refused)
    note = f"; {status.note}" if _cut(status) else ""
    return f"{status.id} {status.state}{rung}{'; ' if refused else ''}{refused}{note}"


def _rule_words(e: Enforced) -> str:
    """Describe what is dropped where, for how long, and why on no better rung."""
    if e.rung is None:
        return f"{e.interface}: {e.rule.what} is no longer enforced: {e.note}"
    refused = "".join(f"; {r.rung} refused ({r.error}): {r.why}" for r in e.refused)
    return f"{e.interface}: dropping {e.rule.what} on {e.rung} for {lasting(e.expires_in)}{refused}"
