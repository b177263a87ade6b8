"""Hooks that are attached only while something is shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any

from probes.model import HookId, State
from tui.screen.place import Place
from tui.session.session import Session

MIN_LEASE_SECONDS = 10.0
"""Seconds for which what a pane wants stays attached at least."""


class Leases:
    """At most one hook for each reason: "detail", while one is open, and "pane".

    carry_out: runs what may fail, and shows what has changed.
    """

    def __init__(
        self,
        session: Session,
        place: Place,
        carry_out: Callable[[Coroutine[Any, Any, Any]], None],
    ) -> None:
        self._session, self._place, self._carry_out = session, place, carry_out
        self._held: dict[str, HookId] = {}
        self._wanted = 0.0

    def borrow(self, why: str, id: HookId, *, unasked: bool = False) -> None:
        """Attach what is needed until it is given back, unless it was attached already.

        Nothing is attached for the past, which would not show it. unasked: nobody opened anything.
        """
        session = self._session
        past = session.frozen or session.player is not None
        if session.live.snapshots.get(id) is None and not past:
            self._held[why] = id
            self._carry_out(self._hold(why, id, unasked))

    async def _hold(self, why: str, id: HookId, unasked: bool) -> None:
        control = self._session.collector.control
        stands = await control.attach(id, quiet=True, unasked=unasked)
        if stands and self._held.get(why) != id:  # it was left meanwhile
            await control.detach(id, quiet=True)

    def give_back(self, *reasons: str) -> None:
        """Detach what was borrowed for these reasons."""
        for why in reasons:
            id = self._held.pop(why, None)
            if id is not None and self._session.live.status(id).state is not State.ATTACHING:
                self._carry_out(self._session.collector.control.detach(id, quiet=True))

    def tend(self) -> None:
        """Attach what the pane wants now, and detach what it wanted before; not too often."""
        pane, session = self._place.pane, self._session
        if self._place.mode != "pane" or session.frozen or pane.wants is None:
            return
        if time.monotonic() - self._wanted < MIN_LEASE_SECONDS:
            return
        want = pane.wants(session.live)
        if want != self._held.get("pane"):
            self._wanted = time.monotonic()
            self.give_back("pane")
            if want is not None:
                self.borrow("pane", want, unasked=True)
