"""Attaching and detaching: what was asked, what came of it, and the log of both."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal

from probes.errors import ProbeError
from probes.model import HookId, Source, State, Status
from tui.view import Event

Severity = Literal["information", "warning", "error"]
STANDS = (State.ATTACHED, State.PASSIVE)


class Control:
    """tell: shows a toast. wall: the time for the log."""

    KEPT = 300
    """Log entries."""

    def __init__(
        self, source: Source, tell: Callable[[str, Severity], None], wall: Callable[[], float]
    ) -> None:
        self._source, self._tell, self._wall = source, tell, wall
        self.events: deque[Event] = deque(maxlen=self.KEPT)
        self._known: dict[HookId, Status] = {}

    async def attach(self, id: HookId, *, quiet: bool = False) -> bool:
        """Attach; whether it stands. quiet: no toast where it does."""
        try:
            status = await self._source.attach(id)
        except ProbeError as error:
            self._refused(id, error)
            return False
        self._known[id] = status
        text = _words(status)
        self._log(text, "warn" if status.degraded else "good")
        if not quiet:
            self._tell(text, "warning" if status.degraded else "information")
        return True

    async def detach(self, id: HookId, *, quiet: bool = False) -> None:
        try:
            status = await self._source.detach(id)
        except ProbeError as error:
            self._refused(id, error)
            return
        self._known[id] = status
        self._log(f"{id} detached", "muted")
        if not quiet:
            self._tell(f"{id} detached", "information")

    def watch(self, statuses: tuple[Status, ...]) -> None:
        """Log what came to stand or fell by itself."""
        for status in statuses:
            before = self._known.get(status.id)
            if before == status or status.state is State.ATTACHING:
                continue
            self._known[status.id] = status
            if before is None and status.state is State.DETACHED:
                continue
            if before is None or (before.state, before.rung) != (status.state, status.rung):
                self._log(_words(status), _role(status))

    def _refused(self, id: HookId, error: ProbeError) -> None:
        text = f"{id} not attached: {error.why} ({error.code})"
        remedy = f". {error.remedy}" if error.remedy else ""
        self._known[id] = next((s for s in self._source.statuses() if s.id == id), Status(id))
        self._log(text, "bad")
        self._tell(text + remedy, "error")

    def _log(self, text: str, role: str) -> None:
        self.events.append(Event(self._wall(), text, role))


def _role(status: Status) -> str:
    if status.state is State.FAILED:
        return "bad"
    return "warn" if status.degraded else "good" if status.state in STANDS else "muted"


def _words(status: Status) -> str:
    """Where it stands, and why not higher."""
    rung = f" on {status.rung}" if status.rung else ""
    refused = "; ".join(f"{r.rung} refused ({r.error}): {r.why}" for r in status.refused)
    return f"{status.id} {status.state}{rung}{'; ' if refused else ''}{refused}"
