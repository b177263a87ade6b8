"""`--color`: colours of text; refused for formats that have none."""

from __future__ import annotations

import argparse

from tui.commands._run import UsageError


def check(arguments: argparse.Namespace) -> None:
    """Raise UsageError where colours are asked for and JSON or CSV is printed, which have none."""
    if getattr(arguments, "color", None) != "always":
        return
    format = "json" if getattr(arguments, "json", False) else getattr(arguments, "format", None)
    if format in ("json", "csv"):
        raise UsageError(
            f"{format.upper()} has no colours: leave out --color always, or print text"
        )
