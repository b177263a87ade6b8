"""The settings: showing, changing and saving them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from probes.model import State
from tui.config import settings
from tui.screen.context import Actions
from tui.screen.key import TEXT, Key
from tui.screen.menu import Choice, Menu
from tui.screen.saving import order_of, save
from tui.terminal.files import shown
from tui.toolkit.pane import Pane
from tui.widgets.prompt import Question

_ONOFF = ("off", "on")


class SettingsActions(Actions):
    """Key for the settings."""

    order = 20
    keys = (
        Key("settings", "f2", "F2", "open", "", "change and save settings", "General", modes=TEXT),
    )

    def open(self, at: int = 0) -> None:
        """Show the settings. at: the one to begin with."""
        self.screen.menu.open(Menu("Settings (Enter changes)", list(self._choices()), at))

    def _choices(self) -> Iterator[Choice]:
        """Return each setting with its value; a change is applied at once, and kept once saved."""
        screen, live, appearance = self.screen, self.screen.session.live, self.screen.appearance
        file = shown(settings.path())
        yield Choice("Save settings", self._save, f"all of these, to {file}")
        choose, keys = partial(screen.do, "theme"), screen.keymap.shown("theme")
        yield Choice("Theme", choose, appearance.look.name, keys)
        yield Choice("Interval", self._ask_interval, f"{screen.session.source.interval:g} s")
        units, keys = partial(screen.do, "units"), screen.keymap.shown("units")
        now = "bits" if live.bits else "bytes"
        yield Choice("Units", self._then_again(units, 3), now, keys)
        now = f"{_ONOFF[appearance.slow]}: 256 colours, no graphs, two updates a second"
        yield Choice("Slow link", self._then_again(self._slow_link, 4), now)
        now = _ONOFF[appearance.mouse]
        yield Choice("Mouse", self._then_again(appearance.toggle_mouse, 5), now)
        now = f"{_ONOFF[live.ascii]}: for terminals without UTF-8"
        yield Choice("ASCII", self._then_again(self._ascii, 6), now)
        yield Choice("First pane", self._ask_first_pane, screen.place.first.title)
        for problem in screen.settled.problems:
            yield Choice("Problem", lambda: None, problem, ready=False)

    def _then_again(self, change: Callable[[], None], at: int) -> Callable[[], None]:
        """Return an action that changes a setting and shows the menu again."""

        def changed() -> None:
            change()
            self.open(at)

        return changed

    def _slow_link(self) -> None:
        self.screen.appearance.toggle_slow_link()
        self.screen.lay_out()
        self.screen.redraw()

    def _ascii(self) -> None:
        ascii = not self.screen.session.live.ascii
        self.screen.session.use_ascii(ascii)
        for table in self.screen.tables:
            table.use_ascii(ascii)
        self.screen.repaint()

    def _ask_interval(self) -> None:
        def wrong(text: str) -> str:
            least, most = settings.MIN_INTERVAL, settings.MAX_INTERVAL
            try:
                fits = least <= float(text) <= most
            except ValueError:
                fits = False
            return "" if fits else f"! seconds, from {least:g} to {most:g}"

        def answered(text: str | None) -> None:
            if text and not wrong(text):
                self.screen.session.use_interval(float(text))
            self.open(2)

        now = f"{self.screen.session.source.interval:g}"
        note = lambda t: (wrong(t), "bad" if wrong(t) else "")  # noqa: E731 # no more than that
        self.screen.prompt.ask(Question("Interval in seconds:", answered, answer=now, note=note))

    def _ask_first_pane(self) -> None:
        place = self.screen.place

        def take(pane: Pane) -> None:
            place.begin_with(pane)
            self.open(7)

        choices = [Choice(p.title, partial(take, p)) for p in place.panes]
        self.screen.menu.open(Menu("First pane", choices, place.panes.index(place.first)))

    # Saving

    def _save(self) -> None:
        """Save the screen's state; the file's keys, presets and panes are left as they are."""
        wanted = self._as_it_is()
        if self.screen.session.player is not None:
            del wanted["interval"]  # that is the recording's
        if not self.screen.session.attaches:
            del wanted["hooks"]
        save(self.screen, wanted, "settings")

    def _as_it_is(self) -> dict[str, Any]:
        screen, session, appearance = self.screen, self.screen.session, self.screen.appearance
        settled, place = screen.settled, screen.place
        return {
            "theme": _unless(appearance.look.name, appearance.usual, settled.theme),
            "interval": session.source.interval,
            "units": "bits" if session.live.bits else "bytes",
            "ascii": session.live.ascii,
            "mouse": appearance.mouse,
            "slow-link": appearance.slow,
            "pane": _unless(place.first.name, place.panes[0].name, settled.pane),
            "sort": self._sorts(),
            "hooks": self._own_hooks() or None,
        }

    def _own_hooks(self) -> list[str]:
        """Return custom hooks that are there, and those from the settings that cannot be here."""
        statuses = self.screen.session.source.statuses()
        states = {s.id.hook: s.state for s in statuses if ":" in s.id.hook}
        kept = [h for h in self.screen.settled.hooks if states.get(h) is not State.DETACHED]
        stand = [h for h, s in states.items() if s not in (State.DETACHED, State.FAILED)]
        return list(dict.fromkeys((*kept, *stand)))

    def _sorts(self) -> dict[str, str]:
        """Return the order of each pane that is not sorted by default."""
        found = {}
        for pane in self.screen.place.every:
            table = self.screen.table_of(pane)
            changed = (table.sort, table.reverse) != (pane.sort, pane.reverse)
            if changed or pane.name in self.screen.settled.sort:
                found[pane.name] = order_of(table)
        return found

    def commands(self) -> Iterator[Choice]:
        for choice in self._choices():
            if choice.ready and choice.title not in ("Theme", "Save settings"):
                title = f"Setting: {choice.title}"
                yield choice._replace(title=title, keys="", section="settings")
        says = "theme, interval, units, sort, panes"
        yield Choice("Save settings", self._save, says, section="settings")


def _unless(now: str, usual: str, settled: str | None) -> str | None:
    """Return None for a default, so that it is not written: it may be another tomorrow."""
    return None if now == usual and settled is None else now
