"""What is chosen from menus: sort, theme, preset, settings; and what is settled and saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from probes.model import State
from tui.config import settings, theme
from tui.config.presets import Preset, built_in, sorting
from tui.config.theme import Theme, ThemeError
from tui.screen.actions.menus import Choice, Menu, Menus
from tui.table.fields import label
from tui.table.filters import FilterError, parse, parse_so_far
from tui.terminal.files import shown
from tui.widgets.prompt import Question


class Choosing(Menus):
    """The keys of menus."""

    # The pane's order and filter

    def action_sort_menu(self) -> None:
        fields, table = self.fields[self._pane.name], self.table
        at = next(i for i, f in enumerate(fields) if f.name == table.sort)
        choices = [Choice(f.title, lambda n=f.name: table.sort_by(n), f.help) for f in fields]  # type: ignore[misc]
        self.open_menu(Menu("Sort by", choices, at))

    def _set_filter(self, text: str) -> None:
        """What is no condition yet leaves the rows as they are; the prompt says what is wrong."""
        fields = self.fields[self._pane.name]
        self.table.keep = parse_so_far(text, fields, self._altnames)
        self._filter_text[self._pane.name] = text
        self.table.sort_rows()
        self.paint()

    # Themes

    def action_themes(self) -> None:
        before = self.look
        choices = [self._theme_choice(name) for name in theme.names()]
        at = next((i for i, c in enumerate(choices) if c.title == before.name), 0)
        self.open_menu(Menu("Theme", choices, at, self._preview, lambda: self._put_on(before)))

    def _theme_choice(self, name: str) -> Choice:
        try:
            look = theme.load(name)
        except ThemeError as wrong:
            why = str(wrong).partition(".toml: ")[2] or str(wrong)
            return Choice(name, lambda: None, f"broken: {why}", ready=False)
        return Choice(name, lambda: self._put_on(look), look.about)

    def _preview(self, choice: Choice) -> None:
        if choice.ready and choice.title != self.look.name:
            choice.do()

    def _put_on(self, look: Theme) -> None:
        self.look = look
        self._wear()
        self.paint()

    # Presets

    @property
    def presets(self) -> tuple[Preset, ...]:
        """Ours, then the person's; one of the same name instead of ours."""
        mine = self.settled.presets
        there = {p.name for p in self.panes}
        ours = [p for p in built_in(self.panes[0].name) if not p.pane or p.pane in there]
        return (*(p for p in ours if p.name not in mine), *mine.values())

    def action_presets(self) -> None:
        choices = [Choice(p.name, lambda p=p: self.take_preset(p), _says(p)) for p in self.presets]  # type: ignore[misc]
        self.open_menu(Menu("Preset", choices))

    def take_preset(self, preset: Preset) -> None:
        """Go there; what it asks for that is not there is said."""
        pane = next((p for p in self.panes if p.name == preset.pane), None)
        if preset.pane and pane is None:
            there = ", ".join(p.name for p in self.panes)
            self._tell(f"preset {preset.name}: no pane {preset.pane!r}; there are {there}", "error")
            return
        self._go_to(pane or self._pane, "" if pane else self._about)
        self._zoomed = preset.zoom
        if preset.units:
            self.live.bits = preset.units == "bits"
        if preset.sort:
            self._sort_as(preset.sort, f"preset {preset.name}")
        try:
            parse(preset.filter, self.fields[self._pane.name])
        except FilterError as wrong:
            self._tell(f"preset {preset.name}: {wrong}", "error")
        else:
            self._set_filter(preset.filter)
        self._lay_out()

    def _sort_as(self, text: str, whose: str) -> None:
        (name, reverse), table = sorting(text), self.table
        if all(f.name != name for f in table.fields):
            self._tell(f"{whose}: {self._pane.title} has no column {name!r}", "error")
            return
        table.sort, table.reverse = name, reverse
        table.sort_rows()

    def action_save_preset(self) -> None:
        def named(name: str | None) -> None:
            if name and name.strip():
                self._save_preset(name.strip())

        text = f"Save {self._pane.title}, its sort, filter and zoom, as preset:"
        self.prompt.ask(Question(text, named))

    def _save_preset(self, name: str) -> None:
        table, units = self.table, "bits" if self.live.bits else "bytes"
        filter = self._filter_text.get(self._pane.name, "")
        preset = Preset(name, self._tab.name, _order(table), filter, units, self._zoomed)
        values = {n: getattr(preset, n) for n in ("pane", "sort", "filter", "units", "zoom")}
        self.settled = replace(self.settled, presets={**self.settled.presets, name: preset})
        self._save({"presets": {name: {k: v for k, v in values.items() if v}}}, f"preset {name}")

    # Settings

    def action_settings(self, at: int = 0) -> None:
        choices = list(self._settings())
        self.open_menu(Menu("Settings (Enter changes)", choices, at))

    def _settings(self) -> Iterator[Choice]:
        """Each with what it is now; a change is tried at once and lasts once it is saved."""
        onoff = ("off", "on")
        file = shown(settings.path())
        yield Choice("Save settings", self.save_settings, f"all of these, to {file}")
        yield Choice("Theme", self.action_themes, self.look.name, self.keymap.shown("theme"))
        yield Choice("Interval", self._ask_interval, f"{self.source.interval:g} s")
        yield Choice(
            "Units", lambda: self._changed_setting("units", 3),
            "bits" if self.live.bits else "bytes", self.keymap.shown("units"),
        )  # fmt: skip
        yield Choice(
            "Slow link",
            lambda: self._changed_setting("slow_link", 4),
            f"{onoff[self._slow]}: 256 colours, no graphs, two updates a second",
        )
        yield Choice("Mouse", lambda: self._changed_setting("mouse", 5), onoff[self.mouse])
        yield Choice(
            "ASCII",
            lambda: self._changed_setting("ascii", 6),
            f"{onoff[self.live.ascii]}: for terminals without UTF-8",
        )
        yield Choice("First pane", self._ask_first_pane, self._first.title)
        for problem in self.settled.problems:
            yield Choice("Problem", lambda: None, problem, ready=False)

    def _changed_setting(self, what: str, at: int) -> None:
        getattr(self, f"action_{what}")()
        self.action_settings(at)

    def action_ascii(self) -> None:
        self.live.ascii = not self.live.ascii
        self._plain(self.live.ascii)
        self.paint()

    def _ask_interval(self) -> None:
        def wrong(text: str) -> str:
            try:
                fits = settings.LEAST <= float(text) <= settings.MOST
            except ValueError:
                fits = False
            return "" if fits else f"! seconds, from {settings.LEAST:g} to {settings.MOST:g}"

        def answered(text: str | None) -> None:
            if text and not wrong(text):
                self.source.interval = float(text)
            self.action_settings(2)

        now = f"{self.source.interval:g}"
        note = lambda t: (wrong(t), "bad" if wrong(t) else "")  # noqa: E731 # no more than that
        self.prompt.ask(Question("Interval in seconds:", answered, answer=now, note=note))

    def _ask_first_pane(self) -> None:
        def take(place: int) -> None:
            self._first = self.panes[place]
            self.action_settings(7)

        choices = [Choice(p.title, lambda i=i: take(i)) for i, p in enumerate(self.panes)]  # type: ignore[misc]
        self.open_menu(Menu("First pane", choices, self.panes.index(self._first)))

    def save_settings(self) -> None:
        """What is on the screen is what is saved; of keys, presets and panes the file has all."""
        wanted = self._as_it_is()
        if self.player is not None:
            del wanted["interval"]  # that is the recording's
        if not self.attaches:
            del wanted["hooks"]
        self._save(wanted, "settings")

    def _as_it_is(self) -> dict[str, Any]:
        return {
            "theme": self._unless(self.look.name, theme.default_name(), self.settled.theme),
            "interval": self.source.interval,
            "units": "bits" if self.live.bits else "bytes",
            "ascii": self.live.ascii,
            "mouse": self.mouse,
            "slow-link": self._slow,
            "pane": self._unless(self._first.name, self.panes[0].name, self.settled.pane),
            "sort": self._sorts(),
            "hooks": self._own_hooks() or None,
        }

    def _own_hooks(self) -> list[str]:
        """Those of the user's own that are there; and those that were to be, but cannot be here."""
        states = {s.id.hook: s.state for s in self.source.statuses() if ":" in s.id.hook}
        kept = [h for h in self.settled.hooks if states.get(h) is not State.DETACHED]
        stand = [h for h, s in states.items() if s not in (State.DETACHED, State.FAILED)]
        return list(dict.fromkeys((*kept, *stand)))

    @staticmethod
    def _unless(now: str, usual: str, settled: str | None) -> str | None:
        """What goes without saying is not written down: it may be another tomorrow."""
        return None if now == usual and settled is None else now

    def _sorts(self) -> dict[str, str]:
        """How each pane is sorted that is not sorted as at first."""
        panes = (*self.panes, *self.inner.values())
        tables = {p.name: self._table_of(p) for p in panes}
        return {
            p.name: _order(t)
            for p in panes
            if (t := tables[p.name]) and ((t.sort, t.reverse) != (p.sort, p.reverse)
                                          or p.name in self.settled.sort)
        }  # fmt: skip

    def _save(self, wanted: Mapping[str, Any], what: str) -> None:
        file = settings.path()
        try:
            settings.save(file, wanted)
        except settings.SettingsError as wrong:
            self._tell(f"{what} {wrong}", "error")
        else:
            self._tell(f"{what} saved in {shown(file)}", "information")


def _order(table: Any) -> str:
    return f"{'-' if table.reverse else ''}{table.sort}"


def _says(preset: Preset) -> str:
    if preset.help:
        return label(preset.help)
    parts = (preset.pane, preset.sort and f"by {preset.sort}", preset.filter, preset.units)
    return label(", ".join(p for p in (*parts, preset.zoom and "zoomed") if p))
