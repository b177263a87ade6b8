"""Shows one source, or several, on the screen."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from probes.source import Source
from tui.commands._options import scope_of
from tui.commands._run import UsageError
from tui.config import settings
from tui.output.scope import Scope
from tui.terminal.without_palette import import_textual

if TYPE_CHECKING:
    from tui.screen.tour import Tour


def show(
    source: Source,
    arguments: argparse.Namespace,
    settled: settings.Settings,
    *others: Source,
    connect: Callable[[], Awaitable[None]] | None = None,
    scope: Scope | None = None,
    tour: Tour | None = None,
) -> int:
    """Show the screen; return the exit status. scope: with the names of this host.

    tour: the demo's, if it is on."""
    look = _look(arguments)
    import_textual()  # it costs 0.2 s: nothing but the screen imports it
    from tui.config import theme
    from tui.screen import app

    try:
        return app.run(
            source,
            *others,
            connect=connect,
            theme=look,
            ascii=arguments.ascii,
            slow_link=arguments.slow_link,
            mouse=arguments.mouse,
            settled=settled,
            memory=arguments.memory,
            scope=scope or scope_of(arguments),
            tour=tour,
        )
    except theme.ThemeError as wrong:
        raise UsageError(str(wrong)) from None


def _look(arguments: argparse.Namespace) -> str | None:
    """Return the theme that is asked for; `--color always` is stronger than NO_COLOR."""
    if arguments.color == "always":
        os.environ.pop("NO_COLOR", None)
    if arguments.color != "never":
        return str(arguments.theme) if arguments.theme else None
    if arguments.theme not in (None, "mono"):
        raise UsageError("--color never is the theme mono: give either --color or --theme")
    return "mono"


def need_terminal(instead: str = "use `ebpftop once` or `stream` to print instead") -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(f"the screen needs a terminal; {instead}")
