"""Attaching and detaching by key and by name: bound to an identity, asked about in data paths."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any

from probes.model import HookId, Reach, State
from probes.source import Source
from tui.screen.actions.record import Recording
from tui.table.fields import label
from tui.widgets.prompt import Question

MOVED = 0.5
"""Seconds in which nobody has seen that the selection went to another row by itself."""
_STANDS = (State.ATTACHED, State.PASSIVE)


class Attaching(Recording):
    """The keys that attach and detach, and the undoing of the latter."""

    def __init__(self, source: Source, **options: Any) -> None:
        super().__init__(source, **options)
        self._detaching: set[HookId] = set()

    def _target(self) -> HookId | None:
        """What the row stands for now: from here on it is that identity, wherever the row goes."""
        record = self._opened if self._mode == "detail" else self.table.record
        hook_of = self._pane.hook_of
        return hook_of(record) if record is not None and hook_of is not None else None

    # A key that is pressed twice means what it meant the first time, although rows have moved

    def key_pressed(self, key: str, when: float) -> None:
        """Before anything is done about it. when: it was typed, seconds, monotonic."""
        self._typed_at = when
        mine = (k.keys.split(",") for k in self.keymap.table if k.id in ("attach", "detach"))
        if all(key not in keys for keys in mine):
            self.chosen_anew()

    def chosen_anew(self) -> None:
        self._pressed_for = None

    def _still_means(self, id: object, name: str) -> bool:
        """Whether this is what somebody saw selected when they pressed the key. Says so where it
        is not."""
        if self._pressed_for is not None and self._pressed_for[0] != id:
            text = f"{self._pressed_for[1]} was meant, not {name}: select a row first"
        elif (
            self._pressed_for is None
            and self._mode == "pane"
            and self.table.moved + MOVED > (self._typed_at or time.monotonic())
        ):
            text = f"the selection has just moved to {name}: press the key again"
        else:
            self._pressed_for = id, name
            self.table.hold()
            return True
        self._tell(text, "warning")
        return False

    _pressed_for: tuple[object, str] | None = None
    _typed_at = 0.0

    def action_attach(self) -> None:
        id = self._target()
        if id is not None and self._still_means(id, str(id)):
            self.attach_hook(id)

    def action_detach(self) -> None:
        if self.refuses("detached"):
            return
        if self._pane.name == "rules":
            record = self._record()
            if record is not None and self._still_means(record.key, record.name):
                self.end_rule()
            return
        id = self._target()
        if id is not None and self._still_means(id, str(id)):
            self.detach_hook(id)

    def attach_hook(self, id: HookId, rung: str | None = None) -> None:
        """By name; on that rung and no other, if one is named."""
        if self.refuses("attached"):
            return
        status = self.live.status(id)
        stands = status.state in _STANDS and status.one_in == 1  # a slowed one is to be whole
        if status.state is State.ATTACHING or (stands and rung is None):
            self._tell(f"{id} is {status.state} already", "information")
            return
        if stands and rung == status.rung:
            self._tell(f"{id} is on {rung} already", "information")
            return
        where = f" on {rung}" if rung else ""
        text = f"Attach {id}{where} to the data path"
        self._sure(id, text, lambda: self.collector.control.attach(id, rung), rung)

    def detach_hook(self, id: HookId) -> None:
        if self.refuses("detached"):
            return
        if id in self._detaching:
            self._tell(f"{id} is being detached", "information")
            return
        if self.live.status(id).state not in (*_STANDS, State.ATTACHING):
            self._tell(f"{id} is not attached", "information")
            return
        self._sure(id, f"Detach {id} from the data path", lambda: self._let_go(id))

    def _let_go(self, id: HookId) -> Coroutine[Any, Any, None]:
        self._detaching.add(id)  # at once: a second key may come before it has begun

        async def detach() -> None:
            try:
                await self.collector.control.detach(id)
            finally:
                self._detaching.discard(id)

        return detach()

    def action_undo(self) -> None:
        """Attach again what was detached last, where it stood if that was a person's choice."""
        last = self.collector.control.last_detached()
        if last is None:
            self._tell("nothing was detached that could be attached again", "information")
        else:
            self.attach_hook(last.id, last.rung if last.pinned else None)

    def _sure(
        self,
        id: HookId,
        text: str,
        work: Callable[[], Coroutine[Any, Any, Any]],
        rung: str | None = None,
    ) -> None:
        """Do it; for a data path only after a person's yes."""

        def answered(answer: str | None) -> None:
            if answer == "yes":
                self.start(self._then_paint(work()))
                self.call_later(self._after_control)

        hook = self.source.catalogue.get(id.hook)
        pinned = hook.rung(rung) if hook is not None and rung else None
        reach = hook.reach_of(pinned) if hook and pinned else hook.reach if hook else None
        if reach is Reach.LOOKS_ON:
            answered("yes")
        else:
            risk = f" ({hook.risk})" if hook is not None and hook.risk else ""
            asked = label(f"{text}{risk}?  y: yes  n: no")
            self.prompt.ask(Question(asked, answered, choices={"y": "yes", "n": "no"}))
