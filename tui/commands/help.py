"""`ebpftop help COMMAND`: the same as `ebpftop COMMAND --help`."""

from __future__ import annotations

import argparse

from tui.commands import MONITOR
from tui.commands._help import PRINTED
from tui.commands._run import DONE, UsageError

HELP = "explain a command: its options, examples and exit statuses"
ORDER = 100
EXAMPLES = {"ebpftop help findings": "the same as `ebpftop findings --help`"}
STATUSES = PRINTED


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("topic", metavar="COMMAND", nargs="?", help="default: all commands")


def run(arguments: argparse.Namespace) -> int:
    from tui.commands import _parsing

    asked = arguments.topic or MONITOR
    if asked not in _parsing.parsers():
        raise UsageError(_parsing.no_command(asked))
    print(_parsing.parsers()[asked].format_help(), end="")
    return DONE
