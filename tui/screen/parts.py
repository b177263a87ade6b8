"""The widgets of the screen, from top to bottom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from textual.widget import Widget

from probes.units import Unit
from tui.table.fields import Field
from tui.toolkit.pane import Pane
from tui.widgets.block import Block
from tui.widgets.live_table import LiveTable
from tui.widgets.prompt import Prompt
from tui.widgets.report import Report
from tui.widgets.status_line import StatusLine
from tui.widgets.tabs import Tabs

MENU_FIELDS = (Field("place", "#", Unit.NUMBER, 3),)
"""Columns until a menu brings its own."""


class Parts:
    """The widgets, made once; `renderer` shows and hides them. sorts: a column, and reversed."""

    def __init__(
        self,
        panes: Sequence[Pane],
        fields: Mapping[str, Sequence[Field]],
        sorts: Mapping[str, tuple[str, bool]],
        *,
        ascii: bool,
    ) -> None:
        self.status = StatusLine(id="status")
        self.tabs = Tabs(id="tabs")
        self.rules = Block(id="rules")
        self.trouble = Block(id="trouble")
        self.vitals = Block(id="vitals")
        self._of_panes: dict[str, LiveTable] = {}
        for pane in panes:
            sort, reverse = sorts[pane.name]
            table = LiveTable(
                fields[pane.name], sort, reverse=reverse, empty=pane.empty,
                says_beyond=pane.says_beyond, id=f"table-{pane.name}",
            )  # fmt: skip
            table.use_ascii(ascii)
            self._of_panes[pane.name] = table
        self.menu = LiveTable(MENU_FIELDS, "place", reverse=False, id="menu")
        self.tables = (*self._of_panes.values(), self.menu)
        self.report = Report(id="report")
        self.graph = Block(id="graph")
        self.below = Block(id="below")
        self.prompt = Prompt(id="prompt")

    def __iter__(self) -> Iterator[Widget]:
        yield from (self.status, self.tabs, self.rules, self.trouble, self.vitals)
        yield from self.tables
        yield from (self.report, self.graph, self.below, self.prompt)

    def table_of(self, pane: Pane) -> LiveTable:
        return self._of_panes[pane.name]
