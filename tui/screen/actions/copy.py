"""Taking along what is on the screen: to the clipboard, to a file, as a picture."""

from __future__ import annotations

import os
import time

from tui.screen.actions.settings import Choosing
from tui.table.fields import label
from tui.terminal import clipboard
from tui.terminal.files import shown, write_new
from tui.widgets.prompt import Question


class Taking(Choosing):
    """The keys that copy, export and draw."""

    def action_copy(self) -> None:
        """The row; in a detail or the help, all of its text."""
        if self._mode != "pane":
            self._copy(self.report.text(), "the detail" if self._mode == "detail" else "the help")
        elif (record := self.table.record) is not None:
            self._copy(
                clipboard.row_text(self.fields[self._pane.name], record, self.live.bits),
                label(record.name),
            )

    def action_copy_table(self) -> None:
        table = self.table
        text = clipboard.table_text(table.columns, table.rows, self.live.bits)
        self._copy(text, f"{len(table.rows)} rows")

    def _copy(self, text: str, what: str) -> None:
        way = clipboard.way(text, os.environ)
        if way.sequence:
            self.write(way.sequence)
        if way.sure:
            self._tell(f"{what}: {way.says}", "information")
        else:
            self._to_file("copy", "txt", text, f"{what}: {way.says}; ")

    def action_export(self) -> None:
        rows = len(self.table.rows)
        text = f"Export {rows} rows of {self._pane.title}?  c: CSV  j: JSON  Esc: no"
        choices = {"c": "csv", "j": "json", "n": "no", "q": "no"}
        self.prompt.ask(Question(text, self._exported, choices=choices))

    def _exported(self, kind: str | None) -> None:
        fields, rows, pane = self.fields[self._pane.name], self.table.rows, self._pane.name
        if kind == "csv":
            self._to_file(pane, "csv", clipboard.as_csv(fields, rows))
        elif kind == "json":
            about = {
                "pane": pane,
                "about": self._about or None,
                "host": label(self.source.host.name),
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.view.wall)),
                "filter": self._filter_text.get(pane, ""),
            }
            self._to_file(pane, "json", clipboard.as_json(about, fields, rows))

    def action_screenshot_file(self) -> None:
        self._to_file("screen", "svg", self.export_screenshot(title=self.TITLE))

    def _to_file(self, what: str, suffix: str, text: str, said: str = "") -> None:
        try:
            path = write_new(what, suffix, text)
        except OSError as error:
            self._tell(f"{said}no file could be written: {error.strerror}", "error")
        else:
            self._tell(f"{said}written to {shown(path)}", "information")
