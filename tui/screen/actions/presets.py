"""Presets: panes with their sort, filter, units and zoom."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from probes.units import no_such
from tui.config.presets import Preset, built_in, sorting
from tui.screen.context import Actions, Context
from tui.screen.key import PANE, TEXT, Key
from tui.screen.menu import Choice, Menu
from tui.screen.saving import order_of, save
from tui.table.fields import label
from tui.table.filters import FilterError, parse
from tui.widgets.prompt import Question


class PresetActions(Actions):
    """Keys for presets."""

    order = 50
    keys = (
        Key(
            "presets", "p", "p", "choose", "", "choose a preset: pane, sort and filter", "Panes",
            modes=TEXT,
        ),
        Key(
            "preset.save", "P,shift+p", "P", "save", "", "save this pane as a preset", "Panes",
            modes=PANE,
        ),
    )  # fmt: skip

    def __init__(self, screen: Context) -> None:
        super().__init__(screen)
        self._mine = dict(screen.settled.presets)

    def offers(self, action: str, /) -> bool:
        """In the tour `p` goes back, as in presenters' programs; presets are in the palette."""
        return action != "choose" or self.screen.tour is None

    @property
    def _presets(self) -> tuple[Preset, ...]:
        """Return our presets, then the user's; one of the same name replaces ours."""
        panes = self.screen.place.panes
        ours = [p for p in built_in(panes[0].name) if not p.pane or self.screen.place.named(p.pane)]
        return (*(p for p in ours if p.name not in self._mine), *self._mine.values())

    def choose(self) -> None:
        """Choose a preset from a menu."""
        choices = [Choice(p.name, partial(self._take, p), _says(p)) for p in self._presets]
        self.screen.menu.open(Menu("Preset", choices))

    def _take(self, preset: Preset) -> None:
        """Apply the preset; report what it needs that is not there."""
        screen, place, name = self.screen, self.screen.place, f"preset {preset.name}"
        pane = place.named(preset.pane)
        if preset.pane and pane is None:
            there = [p.name for p in place.panes]
            screen.toast(f"{name}: {no_such('pane', preset.pane, there)}", "error")
            return
        screen.go_to(pane or place.pane, "" if pane else place.about)
        place.zoom(preset.zoom)
        if preset.units:
            screen.session.use_bits(preset.units == "bits")
        if preset.sort:
            self._sort(preset.sort, name)
        try:
            parse(preset.filter, screen.fields[place.pane.name])
        except FilterError as wrong:
            screen.toast(f"{name}: {wrong}", "error")
        else:
            screen.navigation.set_filter(preset.filter)
        screen.lay_out()

    def _sort(self, text: str, whose: str) -> None:
        (name, reverse), table = sorting(text), self.screen.table
        if all(f.name != name for f in table.fields):
            there = [f.name for f in table.fields]
            said = f"{self.screen.place.pane.title}: {no_such('column', name, there)}"
            self.screen.toast(f"{whose}: {said}", "error")
            return
        table.order(name, reverse=reverse)

    def save(self) -> None:
        """Ask for a name, and save the pane as a preset."""

        def named(name: str | None) -> None:
            if name and name.strip():
                self._save(name.strip())

        title = self.screen.place.pane.title
        self.screen.prompt.ask(
            Question(f"Save {title}, its sort, filter and zoom, as preset:", named)
        )

    def _save(self, name: str) -> None:
        place, units = self.screen.place, "bits" if self.screen.session.live.bits else "bytes"
        order = order_of(self.screen.table)
        preset = Preset(name, place.tab.name, order, place.filter, units, place.zoomed)
        values = {n: getattr(preset, n) for n in ("pane", "sort", "filter", "units", "zoom")}
        self._mine[name] = preset
        wanted = {"presets": {name: {k: v for k, v in values.items() if v}}}
        save(self.screen, wanted, f"preset {name}")

    def commands(self) -> Iterator[Choice]:
        for preset in self._presets:
            take = partial(self._take, preset)
            yield Choice(f"Preset: {preset.name}", take, preset.help, section="presets")
        keys = self.screen.keymap.shown("preset.save")
        yield Choice("Save this pane as a preset", self.save, "", keys, section="presets")


def _says(preset: Preset) -> str:
    if preset.help:
        return label(preset.help)
    parts = (preset.pane, preset.sort and f"by {preset.sort}", preset.filter, preset.units)
    return label(", ".join(p for p in (*parts, preset.zoom and "zoomed") if p))
