"""Copying what is on the screen: to the clipboard, to a file, as a picture."""

from __future__ import annotations

import os
import time

from tui.screen.context import NO_ROW, Actions
from tui.screen.key import ANY, PANE, TEXT, Key
from tui.table.fields import label
from tui.terminal import clipboard
from tui.terminal.files import shown, write_new
from tui.widgets.prompt import Question


class CopyActions(Actions):
    """Keys that copy, export and draw."""

    order = 130
    keys = (
        Key(
            "copy", "y", "y", "copy", "", "copy the row, or the detail", "Copy and export",
            modes=TEXT,
        ),
        Key(
            "copy.table", "Y,shift+y", "Y", "copy_table", "", "copy the table", "Copy and export",
            modes=PANE,
        ),
        Key(
            "export", "E,shift+e", "E", "export", "", "export the table to a file: CSV or JSON",
            "Copy and export", modes=PANE,
        ),
        Key(
            "screenshot", "ctrl+s", "^S", "screenshot", "", "save a picture of the screen (SVG)",
            "Copy and export", modes=ANY,
        ),
    )  # fmt: skip

    def copy(self) -> None:
        """Copy the row; in a detail or the help, the whole text."""
        screen, mode = self.screen, self.screen.place.mode
        if mode != "pane":
            self._copy(screen.report.text(), "the detail" if mode == "detail" else "the help")
        elif (record := screen.table.record) is not None:
            fields = screen.fields[screen.place.pane.name]
            text = clipboard.row_text(fields, record, screen.session.live.bits)
            self._copy(text, label(record.name))
        else:
            screen.hint(NO_ROW)

    def copy_table(self) -> None:
        table = self.screen.table
        text = clipboard.table_text(table.columns, table.rows, self.screen.session.live.bits)
        self._copy(text, f"{len(table.rows)} rows")

    def _copy(self, text: str, what: str) -> None:
        way = clipboard.way(text, os.environ)
        if way.sequence:
            self.screen.write(way.sequence)
        if way.sure:
            self.screen.toast(f"{what}: {way.says}", "information")
        else:
            self._to_file("copy", "txt", text, f"{what}: {way.says}; ")

    def export(self) -> None:
        """Ask for a format, and write the table's values to a file."""
        rows = len(self.screen.table.rows)
        text = f"Export {rows} rows of {self.screen.place.pane.title}?  c: CSV  j: JSON  Esc: no"
        choices = {"c": "csv", "j": "json", "n": "no", "q": "no"}
        self.screen.prompt.ask(Question(text, self._exported, choices=choices))

    def _exported(self, kind: str | None) -> None:
        place, session, rows = self.screen.place, self.screen.session, self.screen.table.rows
        pane = place.pane.name
        fields = self.screen.fields[pane]
        if kind == "csv":
            self._to_file(pane, "csv", clipboard.as_csv(fields, rows))
        elif kind == "json":
            about = {
                "pane": pane,
                "about": place.about or None,
                "host": label(session.source.host.title),
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(session.view.wall)),
                "filter": place.filter,
            }
            self._to_file(pane, "json", clipboard.as_json(about, fields, rows))

    def screenshot(self) -> None:
        self._to_file("screen", "svg", self.screen.picture())

    def _to_file(self, what: str, suffix: str, text: str, said: str = "") -> None:
        try:
            path = write_new(what, suffix, text)
        except OSError as error:
            self.screen.toast(f"{said}could not write a file: {error.strerror}", "error")
        else:
            self.screen.toast(f"{said}written to {shown(path)}", "information")
