"""The help: made from the key table and the panes' fields, so that it cannot be wrong."""

from __future__ import annotations

from collections.abc import Sequence

from tui.fields import Field, label
from tui.keys import KEYS
from tui.lines import BLANK, Line, line
from tui.pane import Pane


def help_lines(pane: Pane, fields: Sequence[Field], places: int) -> list[Line]:
    """Every key that does something here, and what the columns of the pane mean."""
    lines: list[Line] = []
    for group in dict.fromkeys(k.group for k in KEYS):
        lines += [BLANK, line((f" {group}", "accent"))]
        for key in KEYS:
            if key.group == group and not _beyond(key.id, places):
                lines.append(line((f"   {key.shown:9}", "header"), key.help))
    lines += [BLANK, line((f" Columns of {pane.title}", "accent"))]
    for field in fields:
        lines.append(line((f"   {field.title:13}", "header"), label(field.help)))
    lines += [BLANK, line((" Marks", "accent"))]
    lines += [
        line(("   !  ", "bad"), "something is wrong with the row, or in the pane"),
        line(("   ^  ", ""), "unusual against the last minutes, which need not be wrong"),
        line(
            ("   -  ", "muted"), "not known (a new row, a reset counter, nothing in the last 10 s)"
        ),
        line(("   ~  ", "muted"), "a text is cut here; before a number: hooks on a lower rung"),
    ]
    return lines


def _beyond(id: str, places: int) -> bool:
    """A key for a pane that is not there."""
    place = id.removeprefix("pane.")
    return place.isdigit() and int(place) > places
