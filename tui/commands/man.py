"""`ebpftop man`: print the manual page."""

from __future__ import annotations

import argparse

from tui.commands._help import PRINTED
from tui.commands._run import DONE

HELP = "print the manual page"
ORDER = 105
EXAMPLES = {
    "ebpftop man | man -l -": "read it",
    "ebpftop man > ~/.local/share/man/man1/ebpftop.1": "from then on: man ebpftop",
}
STATUSES = PRINTED


def add_arguments(_: argparse.ArgumentParser) -> None:
    """Take nothing."""


def run(_: argparse.Namespace) -> int:
    from tui.commands import _manual

    print(_manual.page(), end="")
    return DONE
