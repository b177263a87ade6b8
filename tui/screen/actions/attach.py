"""Attaching and detaching by key and by name: bound to an identity, asked about in data paths."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from probes.model import HookId, Reach, State
from tui.screen.actions.record import Recording
from tui.table.fields import label
from tui.widgets.prompt import Question

_STANDS = (State.ATTACHED, State.PASSIVE)


class Attaching(Recording):
    """The keys that attach and detach, and the undoing of the latter."""

    def _target(self) -> HookId | None:
        """What the row stands for now: from here on it is that identity, wherever the row goes."""
        record = self._opened if self._mode == "detail" else self.table.record
        hook_of = self._pane.hook_of
        return hook_of(record) if record is not None and hook_of is not None else None

    def action_attach(self) -> None:
        id = self._target()
        if id is not None:
            self.attach_hook(id)

    def action_detach(self) -> None:
        if self.refuses("detached"):
            return
        if self._pane.name == "rules":
            self.end_rule()
            return
        id = self._target()
        if id is not None:
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
        if self.live.status(id).state not in (*_STANDS, State.ATTACHING):
            self._tell(f"{id} is not attached", "information")
            return
        self._sure(id, f"Detach {id} from the data path", lambda: self.collector.control.detach(id))

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
