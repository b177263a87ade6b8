"""A scope on the screen: filters that panes begin with, visible and cleared like any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tui.output.scope import Scope
from tui.screen.parts import Parts
from tui.screen.place import Place
from tui.table.fields import Field
from tui.table.filters import parse


def begin_within(
    scope: Scope, place: Place, parts: Parts, fields: Mapping[str, Sequence[Field]]
) -> None:
    """Filter every pane that can tell, and begin with the first of them.

    That is one of what processes do, unless an interface or a network namespace is asked for.
    """
    within = []
    for pane in place.panes:
        place.untold[pane.name] = _untold(scope, fields[pane.name])
        if text := _filter(scope, fields[pane.name]):
            place.filters[pane.name] = text
            parts.table_of(pane).filter(parse(text, fields[pane.name]))
            within.append(pane)
    if within:
        wanted = "interface" if scope.interface or scope.netns else "pid"
        place.go(next((p for p in within if _has(wanted, fields[p.name])), within[0]))


def _has(name: str, fields: Sequence[Field]) -> bool:
    return name in [field.name for field in fields]


def _untold(scope: Scope, fields: Sequence[Field]) -> str:
    """Return what is asked for and no field tells; "" if nothing is."""
    names = {field.name for field in fields}
    return " ".join(f"{name}={value}" for name, value in scope.asked.items() if name not in names)


def _filter(scope: Scope, fields: Sequence[Field]) -> str:
    """Return the filter that keeps the scope's rows, as somebody would type it; "": none can."""
    names = {field.name for field in fields}
    part_of = ("container", "unit")
    asked = [(n, ":" if n in part_of else "=", v) for n, v in scope.asked.items() if n in names]
    return " ".join(f"{name}{sign}{value}" for name, sign, value in asked)
