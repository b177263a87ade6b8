"""Attaching and detaching by key or name: bound to an identity, confirmed for data paths."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

from probes.model import Hook, HookId, Reach, State, TargetKind
from tui.screen.context import NO_ROW, Actions, Context
from tui.screen.key import NUMBERS, Key
from tui.screen.menu import Choice
from tui.screen.rules import end_rule
from tui.table.fields import label
from tui.widgets.prompt import Question

JUST_MOVED_SECONDS = 0.5
"""Seconds in which nobody can have noticed that the selection moved by itself."""
_IN_USE = (State.ATTACHED, State.PASSIVE)


class AttachActions(Actions):
    """Keys that attach, detach, and undo a detach."""

    order = 140
    keys = (
        Key(
            "attach", "a", "a", "attach", "Attach/detach", "attach the row's hook", "Hooks", 4,
            modes=NUMBERS,
        ),
        Key(
            "detach", "d,delete", "d Del", "detach", "",
            "detach the row's hook; in the list of drop rules: end the rule", "Hooks",
            modes=NUMBERS,
        ),
        Key(
            "undo", "U,shift+u", "U", "undo", "", "attach the hook that was detached last", "Hooks",
            modes=NUMBERS,
        ),
    )  # fmt: skip

    def __init__(self, screen: Context) -> None:
        super().__init__(screen)
        self._detaching: set[HookId] = set()
        self._pressed_for: tuple[object, str] | None = None
        self._typed_at = 0.0

    def offers(self, action: str, /) -> bool:
        pane = self.screen.place.pane
        if action == "undo" or pane.hook_of is not None:
            return True
        return action == "detach" and pane.name == "rules"

    def why_not(self, _action: str, /) -> str:
        return "these rows belong to no hook"

    def _target(self) -> HookId | None:
        """Return the row's hook: from here on its identity counts, wherever the row moves."""
        record, hook_of = self.screen.record, self.screen.place.pane.hook_of
        return hook_of(record) if record is not None and hook_of is not None else None

    # A key that is pressed twice means what it meant the first time, although rows have moved

    def key_pressed(self, key: str, when: float) -> None:
        self._typed_at = when
        mine = {k.id for k in self.keys} - {"undo"}
        table = self.screen.keymap.table
        if all(key not in k.keys.split(",") for k in table if k.id in mine):
            self.selection_changed()

    def selection_changed(self) -> None:
        self._pressed_for = None

    def _still_means(self, id: object, name: str) -> bool:
        """Return whether this was selected when the key was pressed; say so if not."""
        table = self.screen.table
        if self._pressed_for is not None and self._pressed_for[0] != id:
            text = f"{self._pressed_for[1]} was meant, not {name}: select the row again"
        elif (
            self._pressed_for is None
            and self.screen.place.mode == "pane"
            and table.moved + JUST_MOVED_SECONDS > (self._typed_at or time.monotonic())
        ):
            text = f"the selection has just moved to {name}: press the key again"
        else:
            self._pressed_for = id, name
            table.hold()
            return True
        self.screen.toast(text, "warning")
        return False

    def attach(self) -> None:
        id = self._target()
        if id is None:
            self.screen.hint(NO_ROW)
        elif self._still_means(id, str(id)):
            self._attach(id)

    def detach(self) -> None:
        """Detach the row's hook; in the list of rules, end the rule."""
        if self.screen.time.refuses("detached"):
            return
        if self.screen.place.pane.name == "rules":
            record = self.screen.record
            if record is None:
                self.screen.hint(NO_ROW)
            elif self._still_means(record.key, record.name):
                end_rule(self.screen, record)
            return
        id = self._target()
        if id is None:
            self.screen.hint(NO_ROW)
        elif self._still_means(id, str(id)):
            self._detach(id)

    def undo(self) -> None:
        """Attach again what was detached last, on the same rung if the user had chosen it."""
        last = self.screen.session.collector.control.last_detached()
        if last is None:
            text = "nothing to attach again"
            self.screen.toast(text, "information")
        else:
            self._attach(last.id, last.rung if last.pinned else None)

    # By name

    def _attach(self, id: HookId, rung: str | None = None) -> None:
        """Attach a hook; only on the given rung, if there is one."""
        if self.screen.time.refuses("attached"):
            return
        status = self.screen.session.live.status(id)
        stands = status.state in _IN_USE and status.one_in == 1  # a slowed one is to be whole
        if status.state is State.ATTACHING or (stands and rung is None):
            self.screen.toast(f"{id} is already {status.state}", "information")
            return
        if stands and rung == status.rung:
            self.screen.toast(f"{id} is already on {rung}", "information")
            return
        control = self.screen.session.collector.control
        where = f" on {rung}" if rung else ""
        text = f"Attach {id}{where} to the data path"
        self._confirm(id, text, lambda: control.attach(id, rung), rung)

    def _detach(self, id: HookId) -> None:
        if self.screen.time.refuses("detached"):
            return
        if id in self._detaching:
            self.screen.toast(f"{id} is being detached", "information")
            return
        if self.screen.session.live.status(id).state not in (*_IN_USE, State.ATTACHING):
            self.screen.toast(f"{id} is not attached", "information")
            return
        self._confirm(id, f"Detach {id} from the data path", lambda: self._let_go(id))

    def _let_go(self, id: HookId) -> Coroutine[Any, Any, None]:
        self._detaching.add(id)  # at once: a second key may come before it has begun
        control = self.screen.session.collector.control

        async def detach() -> None:
            try:
                await control.detach(id)
            finally:
                self._detaching.discard(id)

        return detach()

    def _confirm(
        self,
        id: HookId,
        text: str,
        work: Callable[[], Coroutine[Any, Any, Any]],
        rung: str | None = None,
    ) -> None:
        """Carry it out; for a data path only after the user confirms."""

        def answered(answer: str | None) -> None:
            if answer == "yes":
                self.screen.carry_out(work())
                self.screen.control_changes_soon()

        hook = self.screen.session.source.catalogue.get(id.hook)
        pinned = hook.rung(rung) if hook is not None and rung else None
        reach = hook.reach_of(pinned) if hook and pinned else hook.reach if hook else None
        if reach is Reach.OBSERVES:
            answered("yes")
        else:
            risk = f" ({hook.risk})" if hook is not None and hook.risk else ""
            asked = label(f"{text}{risk}?  y: yes  n: no")
            self.screen.prompt.ask(Question(asked, answered, choices={"y": "yes", "n": "no"}))

    # In the palette

    def commands(self) -> Iterator[Choice]:
        if self.screen.session.player is None:  # a recording has nothing to be done to
            for choice in self._by_name():
                yield choice._replace(section="hooks")

    def _by_name(self) -> Iterator[Choice]:
        known = {s.id: s for s in self.screen.session.live.statuses}
        catalogue = self.screen.session.source.catalogue
        for id, status in known.items():
            if status.state in (*_IN_USE, State.ATTACHING):
                says = f"{status.state}{f' on {status.rung}' if status.rung else ''}"
                yield Choice(f"Detach {id}", partial(self._detach, id), says)
            else:
                yield Choice(f"Attach {id}", partial(self._attach, id), str(status.state))
        for hook in catalogue.values():
            if hook.target is not TargetKind.NONE:
                title = f"Attach {hook.name}@{hook.target.upper()}..."
                yield Choice(title, partial(self._ask_target, hook), hook.question)
        types = "kprobe:, fentry:, tracepoint:, uprobe: ..."
        yield Choice("Attach a custom hook...", self._ask_own, types)
        for id in known:
            ladder = catalogue[id.hook].ladder if id.hook in catalogue else ()
            for rung in ladder:
                pin = partial(self._attach, id, rung.name)
                yield Choice(f"Pin {id} on {rung.name}", pin, "attach on this rung only")

    def _ask_target(self, hook: Hook) -> None:
        def answered(target: str | None) -> None:
            if target and target.strip():
                self._attach(HookId(hook.name, target.strip()))

        self.screen.prompt.ask(Question(f"Attach {hook.name} to which {hook.target}?", answered))

    def _ask_own(self) -> None:
        session = self.screen.session

        def answered(text: str | None) -> None:
            if text and text.strip():
                id = HookId(text.strip())
                self.screen.carry_out(session.collector.control.attach(id))

        ask = "Attach (Tab completes), such as kprobe:vfs_read,by=comm,latency:"
        self.screen.prompt.ask(Question(ask, answered, complete=session.source.complete))
