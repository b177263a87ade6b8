"""The palette: everything that can be done, by name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from textual import actions

from probes.model import Enforced, Hook, HookId, State, TargetKind
from tui.config import theme
from tui.screen.actions.copy import Taking
from tui.screen.actions.menus import Choice, Menu
from tui.screen.keymap import Key
from tui.session.drop_rules import Offer
from tui.table.fields import label
from tui.widgets.prompt import Question

_STANDS = (State.ATTACHED, State.PASSIVE, State.ATTACHING)
_APART = ("palette", "back", "theme", "sort.menu", "preset.save")
"""Keys that are here under other names, or are no use from here."""


class Palette(Taking):
    """Commands by name. The latest come first until something is typed."""

    _past_commands: tuple[str, ...] = ()

    def action_palette(self) -> None:
        commands = list(self._commands())
        latest = {title: i for i, title in enumerate(self._past_commands)}
        commands.sort(key=lambda c: latest.get(c.title, len(latest)))
        choices = [c._replace(do=partial(self._command, c)) for c in commands]
        self.open_menu(
            Menu("Command", choices, ask="Command:", note="type a few letters; Up Down Enter Esc")
        )

    def _command(self, command: Choice) -> None:
        others = (t for t in self._past_commands if t != command.title)
        self._past_commands = (command.title, *others)[:20]
        command.do()

    def _commands(self) -> Iterator[Choice]:
        """Those that mean something where we are."""
        yield from (self._of_key(k) for k in self.keymap.table if self._has_sense(k))
        yield from self._of_panes()
        if self.player is None:  # a recording has nothing to be done to
            yield from self._of_hooks()
            yield from self._of_rules()
        yield from self._of_looks()

    # Keys

    def _has_sense(self, key: Key) -> bool:
        name = key.action.partition("(")[0]
        apart = key.group in ("Moving", "Panes") and name in ("pane", "move", "page")
        return not apart and key.id not in _APART and bool(self.check_action(name, ()))

    def _of_key(self, key: Key) -> Choice:
        title = f"{key.help[0].upper()}{key.help[1:]}"
        return Choice(title, partial(self._act, key.action), key.id, key.shown)

    def _act(self, action: str) -> None:
        """At once: what it asks gets what is typed next."""
        _, name, given = actions.parse(action)
        getattr(self, f"action_{name}")(*given)

    # Panes, presets, columns

    def _of_panes(self) -> Iterator[Choice]:
        for place, pane in enumerate(self.panes, 1):
            keys = self.keymap.shown(f"pane.{place}")
            yield Choice(f"Pane: {pane.title}", partial(self.action_pane, place), "", keys)
        for preset in self.presets:
            yield Choice(f"Preset: {preset.name}", partial(self.take_preset, preset), preset.help)
        yield Choice("Save this pane as a preset", self.action_save_preset, "",
                     self.keymap.shown("preset.save"))  # fmt: skip
        if self._mode == "pane":
            for field in self.fields[self._pane.name]:
                sort = partial(self.table.sort_by, field.name)
                yield Choice(f"Sort by {field.title}", sort, field.help)

    # Hooks: attach, detach, pin a rung

    def _of_hooks(self) -> Iterator[Choice]:
        known = {s.id: s for s in self.live.statuses}
        for id, status in known.items():
            if status.state in _STANDS:
                says = f"{status.state}{f' on {status.rung}' if status.rung else ''}"
                yield Choice(f"Detach {id}", partial(self.detach_hook, id), says)
            else:
                yield Choice(f"Attach {id}", partial(self.attach_hook, id), str(status.state))
        for hook in self.source.catalogue.values():
            if hook.target is not TargetKind.NONE:
                yield Choice(
                    f"Attach {hook.name}@{hook.target.upper()}...",
                    partial(self._ask_target, hook), hook.answers,
                )  # fmt: skip
        yield Choice(
            "Attach a hook of your own...", self._ask_own,
            "kprobe:, fentry:, tracepoint:, uprobe: ...",
        )  # fmt: skip
        for id in known:
            for rung in self._rungs(id):
                pin = partial(self.attach_hook, id, rung)
                yield Choice(f"Pin {id} on {rung}", pin, "attach on this rung, no other")

    def _rungs(self, id: HookId) -> list[str]:
        hook = self.source.catalogue.get(id.hook)
        return [r.name for r in hook.ladder] if hook is not None else []

    def _ask_target(self, hook: Hook) -> None:
        def answered(target: str | None) -> None:
            if target and target.strip():
                self.attach_hook(HookId(hook.name, target.strip()))

        self.prompt.ask(Question(f"Attach {hook.name} to which {hook.target}?", answered))

    def _ask_own(self) -> None:
        def answered(text: str | None) -> None:
            if text and text.strip():
                id = HookId(text.strip())
                self.start(self._then_paint(self.collector.control.attach(id)))

        ask = "Attach (Tab completes), such as kprobe:vfs_read,by=comm,latency:"
        self.prompt.ask(Question(ask, answered, complete=self.source.complete))

    # Drop rules

    def _of_rules(self) -> Iterator[Choice]:
        for d in self.live.dropping:
            title = f"End the drop rule {d.enforced.interface}: {d.enforced.rule.what}"
            yield Choice(title, partial(self._end_rule, d.enforced), "it drops no more")
        for row in self.live.rows("interfaces"):
            drop = partial(self._write_rule, Offer(str(row["interface"])), row["ifindex"])
            yield Choice(f"Drop on {label(row['interface'])}...", drop, "a rule; asks first")

    def _end_rule(self, e: Enforced) -> None:
        self.start(self._then_paint(self.collector.control.remove_rule(e.interface, e.rule)))

    # Looks and settings

    def _of_looks(self) -> Iterator[Choice]:
        for name in theme.names():
            choice = self._theme_choice(name)
            yield choice._replace(title=f"Theme: {name}")
        yield Choice("Theme: choose, with a look at each", self.action_themes, "",
                     self.keymap.shown("theme"))  # fmt: skip
        for choice in self._settings():
            if choice.ready and choice.title not in ("Theme", "Save settings"):
                yield choice._replace(title=f"Setting: {choice.title}", keys="")
        yield Choice("Save settings", self.save_settings, "theme, interval, units, sort, panes")
        if self._mode == "pane":
            yield Choice("Choose the column to sort by", self.action_sort_menu, "",
                         self.keymap.shown("sort.menu"))  # fmt: skip
