"""Writing the screen's state to the settings file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tui.config import in_force, settings
from tui.screen.context import Context
from tui.terminal.files import shown
from tui.widgets.live_table import LiveTable


def save(screen: Context, wanted: Mapping[str, Any], what: str) -> None:
    """Save these settings, and say so, or why not."""
    file = settings.path()
    try:
        settings.save(file, wanted, in_force.host())
    except settings.SettingsError as wrong:
        screen.toast(f"{what} {wrong}", "error")
    else:
        screen.toast(f"{what} saved in {shown(file)}", "information")


def order_of(table: LiveTable) -> str:
    """Return a table's order, as settings write it."""
    return f"{'-' if table.reverse else ''}{table.sort}"
