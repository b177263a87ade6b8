"""A row of the overview, with the history that is drawn of it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import NamedTuple

from probes import units
from probes.analysis.history import Figure
from probes.model import Value
from probes.units import Unit
from tui.session.view import View
from tui.table.fields import TableRow
from tui.toolkit.history_line import history_line
from tui.widgets.spark import drawn

_NOTHING_A_SECOND = 0.05
"""Rate below which 0 is shown."""
_NOTHING: Mapping[str, Value] = {
    "what": "-", "where": "", "share": None, "share_text": "", "now": None, "now_text": "",
    "usual": None, "usual_text": "", "since": None, "since_text": "", "since_brief": "", "why": "",
    "history": (), "ascii": 0,
}  # fmt: skip


class OverviewRow(NamedTuple):
    """A row. figure, key: its history, None: it has none. usual: in words."""

    record: TableRow
    figure: Figure | None = None
    key: Hashable = None
    usual: str = ""

    def at(self, place: int) -> TableRow:
        """Return the record as that of a place, from 1."""
        r = self.record
        return TableRow(r.key, r.name, {**r.values, "place": place}, r.mark, leads=r.leads)


def values(**known: Value) -> dict[str, Value]:
    """Return a row's values: those given, and nothing in the other columns."""
    return {**_NOTHING, **known}


def history(view: View, figure: Figure | None, key: Hashable) -> dict[str, Value]:
    """Return the values that a history is drawn from."""
    return {"history": history_line(view, figure, key), "ascii": int(view.ascii)}


def draw_history(record: TableRow, width: int) -> str:
    """Draw a history in so many cells, newest at the right."""
    found = record.values["history"]
    past = found if isinstance(found, tuple) else ()
    return drawn(past, width, ascii=bool(record.number("ascii")))


def amount(view: View, value: float | None, unit: Unit) -> str:
    """Format a number as the screen does: a time, or something a second."""
    if value is None:
        return units.DASH
    if unit in (Unit.NS, Unit.US, Unit.PERCENT):
        return units.show(value, unit, bits=view.bits)
    return f"{units.show(value, unit, bits=view.bits)}/s" if value >= _NOTHING_A_SECOND else "0"
