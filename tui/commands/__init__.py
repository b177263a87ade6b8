"""Subcommands, ONE FILE EACH, found by being there. Only this package sees all of `probes`.

A file has `HELP` (one line for `--help`; "" hides it), `ORDER` (its place in that list),
`add_arguments(parser)` and `run(arguments)`, which returns the exit status. For its own help it has
`EXAMPLES` (command lines, and what each does) and `STATUSES` (exit statuses, and what each means),
and may have `ABOUT`, more sentences. What several share is in the files whose names begin with an
underscore.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Protocol, cast

from probes import arrays
from tui.commands import _colour, _netns

MONITOR = "monitor"
"""The name of what runs without a command."""
WITHOUT_NUMBERS = ("completion", "doctor", "help", "hooks", "man")
"""Commands that count nothing, and so need no numpy."""


class Command(Protocol):
    """The interface of a command's module."""

    HELP: str
    ORDER: int
    EXAMPLES: Mapping[str, str]
    STATUSES: Mapping[int | str, str]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, arguments: argparse.Namespace) -> int: ...


@cache
def commands() -> Mapping[str, Command]:
    """Return every command by name, in the order of `--help`."""
    names = [m.name for m in pkgutil.iter_modules(__path__) if m.name[0] != "_"]
    found = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    for command in found.values():
        for name in ("EXAMPLES", "STATUSES"):
            vars(command).setdefault(name, {})
    return cast(Mapping[str, Command], dict(sorted(found.items(), key=lambda item: item[1].ORDER)))


def run(arguments: argparse.Namespace) -> int:
    """Run the command that was parsed. Raises ProbeError if it needs numpy and there is none."""
    if arguments.command not in WITHOUT_NUMBERS:
        arrays.check()
    _colour.check(arguments)
    if (told := getattr(arguments, "netns", None)) is not None:
        _netns.enter(arguments, told)
    return commands()[arguments.command].run(arguments)
