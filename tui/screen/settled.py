"""What the settings say of panes; what of it is not there is a problem to be told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tui.config.presets import sorting
from tui.config.settings import Settings
from tui.table.fields import Field
from tui.toolkit.pane import Pane

Problem = Callable[[str], None]


def shown_panes(there: tuple[Pane, ...], settled: Settings, problem: Problem) -> tuple[Pane, ...]:
    """Return the panes that get a tab, in their order."""
    chosen = [p for name in settled.panes if (p := _named(name, there, "panes", problem))]
    return tuple(dict.fromkeys(chosen)) or there


def wanted_pane(shown: tuple[Pane, ...], settled: Settings, problem: Problem) -> Pane | None:
    """Return the pane to begin with, if there is a wish."""
    return _named(settled.pane, shown, "pane", problem) if settled.pane is not None else None


def _named(name: str, panes: Sequence[Pane], setting: str, problem: Problem) -> Pane | None:
    found = next((p for p in panes if p.name == name), None)
    if found is None:
        there = ", ".join(p.name for p in panes)
        problem(f"settings: {setting}: no pane {name!r}; there are {there}")
    return found


def first_sorts(
    panes: Sequence[Pane],
    fields: Mapping[str, Sequence[Field]],
    settled: Settings,
    problem: Problem,
) -> dict[str, tuple[str, bool]]:
    """Return how each pane's table is sorted at first: the column, and reversed."""
    sorts = {}
    for pane in panes:
        name, reverse = sorting(settled.sort.get(pane.name, ""))
        if name and all(f.name != name for f in fields[pane.name]):
            problem(f"settings: sort.{pane.name}: it has no column {name!r}")
            name = ""
        sorts[pane.name] = (name, reverse) if name else (pane.sort, pane.reverse)
    return sorts
