"""The screen's initial state from the settings; what is missing is reported as a problem."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from probes.model import Hook
from probes.units import no_such
from tui.config.presets import sorting
from tui.config.settings import Settings
from tui.panes import inner_panes, panes
from tui.screen.place import Place
from tui.table.fields import Field
from tui.toolkit.pane import Pane

Problem = Callable[[str], None]


def either(flag: bool | None, settled: bool | None, *, usual: bool) -> bool:
    """Return the flag if it was given, else the setting."""
    return flag if flag is not None else settled if settled is not None else usual


def first_place(catalogue: Mapping[str, Hook], settled: Settings, problem: Problem) -> Place:
    """Return the place to begin with: the panes that get a tab, and the first of them."""
    there = panes(catalogue)
    chosen = [p for name in settled.panes if (p := _named(name, there, "panes", problem))]
    shown = tuple(dict.fromkeys(chosen)) or there
    first = _named(settled.pane, shown, "pane", problem) if settled.pane is not None else None
    return Place(shown, inner_panes(catalogue), first)


def _named(name: str, panes: Sequence[Pane], setting: str, problem: Problem) -> Pane | None:
    found = next((p for p in panes if p.name == name), None)
    if found is None:
        problem(f"settings: {setting}: {no_such('pane', name, [p.name for p in panes])}")
    return found


def first_sorts(
    panes: Sequence[Pane],
    fields: Mapping[str, Sequence[Field]],
    settled: Settings,
    problem: Problem,
) -> dict[str, tuple[str, bool]]:
    """Return each pane's initial order: the column, and reversed."""
    sorts = {}
    for pane in panes:
        name, reverse = sorting(settled.sort.get(pane.name, ""))
        if name and all(f.name != name for f in fields[pane.name]):
            there = [f.name for f in fields[pane.name]]
            problem(f"settings: sort.{pane.name}: {no_such('column', name, there)}")
            name = ""
        sorts[pane.name] = (name, reverse) if name else (pane.sort, pane.reverse)
    return sorts
