"""Shows one source, or several, on the screen."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable

from probes.source import Source
from tui.commands._run import UsageError
from tui.config import settings


def show(
    source: Source,
    arguments: argparse.Namespace,
    settled: settings.Settings,
    *others: Source,
    connect: Callable[[], Awaitable[None]] | None = None,
) -> int:
    from tui.config import theme  # Textual costs 0.2 s: nothing but the screen imports it
    from tui.screen import app

    try:
        return app.run(
            source,
            *others,
            connect=connect,
            theme=arguments.theme,
            ascii=arguments.ascii,
            slow_link=arguments.slow_link,
            mouse=arguments.mouse,
            settled=settled,
            memory=arguments.memory,
        )
    except theme.ThemeError as wrong:
        raise UsageError(str(wrong)) from None


def need_terminal(instead: str = "use `ebpftop once` or `stream` to print instead") -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(f"the screen needs a terminal; {instead}")
