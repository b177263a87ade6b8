"""Hooks that are attached only while something is shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from probes.model import HookId, State
from tui.screen.place import Place
from tui.session.session import Session

KEPT_SECONDS = 10.0
"""Seconds for which what a pane has wanted stays attached."""
MOST_WANTED = 6
"""Hooks that are attached at once because the pane wants them; one, while memory is short.

What is wanted first is worth most: it takes the place of the last.
"""


class Leases:
    """At most one hook for each reason: "detail", while one is open, and "pane".

    And a few that the pane wants for what they tell of what is wrong.

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
        self._wanted: dict[HookId, float] = {}
        self._returned: set[HookId] = set()
        "Being detached, or detached: wanted again, they may be there still for a moment."

    def borrow(self, why: str, id: HookId, *, unasked: bool = False) -> None:
        """Attach what is needed until it is given back, unless it was attached already.

        Nothing is attached for the past, which would not show it. unasked: nobody opened anything.
        """
        session = self._session
        past = session.frozen or session.player is not None
        if session.live.snapshots.get(id) is None and not past:
            self._returned.discard(id)
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
            self._return(why)
        if "pane" in reasons:
            for id in self._wanted:
                self._return(str(id))
            self._wanted.clear()

    def _return(self, why: str) -> None:
        id = self._held.pop(why, None)
        if id is not None and self._session.live.status(id).state is not State.ATTACHING:
            self._returned.add(id)
            self._carry_out(self._session.collector.control.detach(id, quiet=True))

    def tend(self) -> None:
        """Attach what the pane wants now, and detach what it has not wanted for a while."""
        pane, session, now = self._place.pane, self._session, time.monotonic()
        if self._place.mode != "pane" or session.frozen or pane.wants is None:
            return
        most = 1 if session.is_tight else MOST_WANTED
        wants = list(pane.wants(session.live))
        old = [id for id, last in self._wanted.items() if now - last >= KEPT_SECONDS]
        self._let_go([id for id in old if id not in wants])
        self._let_go(list(self._wanted)[most:])
        for place, want in enumerate(wants):
            if want not in self._wanted and len(self._wanted) >= most:
                worth_less = [id for id in wants[place + 1 :] if id in self._wanted]
                if not worth_less:
                    continue
                self._let_go(worth_less[-1:])
            if want not in self._wanted or want in self._returned:
                self.borrow(str(want), want, unasked=True)
            self._wanted[want] = now

    def _let_go(self, ids: Iterable[HookId]) -> None:
        """Detach what the pane has wanted."""
        for id in ids:
            del self._wanted[id]
            self._return(str(id))
