"""What a shell can complete: the options of each command and their values, from the parsers."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

from probes.doctor import program_types
from probes.hooks import catalogue
from tui.commands import MONITOR, _parsing, commands
from tui.config import theme

FILES, INTERFACES, PIDS = "files", "interfaces", "pids"
"""Values that the shell itself finds when they are wanted."""


class Completable(NamedTuple):
    """An option, or an argument without a name (no flags).

    names: what it is spelled like. takes: the name of its value; "": it has none. values: those
    that are known. found: FILES, INTERFACES, PIDS or "". many: it takes several values.
    """

    names: tuple[str, ...]
    says: str
    takes: str
    values: tuple[str, ...]
    found: str
    many: bool


def listed() -> dict[str, str]:
    """Return each command that the help lists, with its line."""
    return {name: commands()[name].HELP for name in _parsing.listed()}


def offers(command: str) -> list[Completable]:
    """Return the options and arguments of a command; of MONITOR: those without a command."""
    return list(_offers(_parsing.parsers()[command]))


def _offers(parser: argparse.ArgumentParser) -> Iterator[Completable]:
    for action in parser._actions:
        if action.nargs == argparse.PARSER:
            continue  # the commands
        takes = "" if action.nargs == 0 else str(action.metavar or action.dest.upper())
        values = tuple(action.choices or (_VALUES[takes]() if takes in _VALUES else ()))
        says = (action.help or "").replace("%%", "%").split(" (")[0].split(";")[0].split(": ")[0]
        found = _FOUND.get(takes, "")
        yield Completable(
            tuple(action.option_strings), says, takes, values, found, action.nargs == "*"
        )


@cache
def _hooks() -> tuple[str, ...]:
    """Return the hooks' names; those of a target end with @."""
    return tuple(f"{name}@" if hook.target else name for name, hook in catalogue().items())


@cache
def _rungs() -> tuple[str, ...]:
    return tuple(
        f"{name}={rung.name}" for name, hook in catalogue().items() for rung in hook.ladder
    )


_VALUES: dict[str, Callable[[], tuple[str, ...]]] = {
    "HOOK[@TARGET]": _hooks,
    "HOOK=RUNG": _rungs,
    "NAME": lambda: tuple(theme.names()),
    "TYPE": lambda: program_types.NAMES,
    "COMMAND": lambda: tuple(_parsing.listed()),
}
_FOUND = {"FILE": FILES, "IFACE": INTERFACES, "PID": PIDS}

WITHOUT = MONITOR
"""The name under which the options without a command are."""
