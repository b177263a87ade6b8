"""The words of a command line -> a command and its arguments, or one sentence on what is wrong.

An option may come before the command as well as after it, and is always written in full.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import NoReturn

from probes.units import did_you_mean, no_such, printable
from tui.commands import MONITOR, Command, commands
from tui.commands._help import ABOUT, HelpLayout, about, epilog
from tui.commands._run import UsageError

Parsers = Mapping[str, argparse.ArgumentParser]


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments; `command` of the result is the command's name.

    Raises UsageError with one sentence for what cannot be meant.
    """
    made = parsers()
    name, words = _split(argv, made)
    arguments, left = made[name].parse_known_args(words)
    if left:
        raise UsageError(_refused(left, name, made))
    arguments.command = name
    return arguments


@cache
def parsers() -> Parsers:
    """Return the parser of each command; the monitor's lists the others in its help."""
    monitor = _Parser(
        prog="ebpftop",
        usage="ebpftop [OPTION]... [COMMAND ...]",
        description=ABOUT,
        epilog=epilog(commands()[MONITOR]),
        formatter_class=HelpLayout,
        allow_abbrev=False,
    )
    made: dict[str, argparse.ArgumentParser] = {MONITOR: monitor}
    monitor.add_argument(
        "-V",
        "--version",
        action=_Version,
        nargs=0,
        help="print the versions of ebpftop, bcc, libbpf, the kernel and Python, and exit",
    )
    listed = monitor.add_subparsers(
        title="commands", metavar="COMMAND", parser_class=_Parser, prog="ebpftop"
    )
    for name, command in commands().items():
        if name != MONITOR:
            made[name] = _add_parser(listed.add_parser, name, command)
            command.add_arguments(made[name])
    commands()[MONITOR].add_arguments(monitor)
    return made


def _add_parser(
    add: Callable[..., argparse.ArgumentParser], name: str, command: Command
) -> argparse.ArgumentParser:
    """Add the parser of a command, which is in the list if it has a `HELP`."""
    add = partial(add, name, formatter_class=HelpLayout, allow_abbrev=False)
    add = partial(add, description=about(command), epilog=epilog(command))
    return add(help=command.HELP) if command.HELP else add()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise UsageError with one sentence; the usage is shown by `--help` only."""
        raise UsageError(f"{message}; see {self.prog} --help")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Print the versions, which are looked up only here: that takes longer than all parsers."""
        from tui.commands import _versions

        print("\n".join(_versions.lines()))
        parser.exit()


def listed() -> list[str]:
    """Return the commands that the help lists, in its order."""
    return [name for name, command in commands().items() if command.HELP and name != MONITOR]


def no_command(word: str) -> str:
    """Return a sentence: there is no command of that name."""
    return no_such("command", word, listed())


def _split(argv: Sequence[str], made: Parsers) -> tuple[str, list[str]]:
    """Split off the command's name; options before it come first in what is left."""
    takes = _taken(made)
    at, flags = 0, list[str]()
    while at < len(argv):
        flag, equals, _ = argv[at].partition("=")
        if flag == "--":
            raise UsageError("unknown option or argument '--'")
        if argv[at] in made:
            _check_foreign(flags, argv[at], made)
            return argv[at], [*argv[:at], *argv[at + 1 :]]
        if not flag.startswith("-"):
            raise UsageError(_not_a_command(argv[at], flags, made))
        flags.append(flag)
        at += 1 if equals else 1 + _values(argv[at + 1 :], takes.get(flag, 0), made)
    _check_foreign(flags, MONITOR, made)
    return MONITOR, list(argv)


def _check_foreign(flags: Iterable[str], name: str, made: Parsers) -> None:
    """Refuse an option that the command does not take: its value would become an argument."""
    known = made[name]._option_string_actions
    if foreign := [flag for flag in flags if flag.startswith("--") and flag not in known]:
        raise UsageError(_refused(foreign, name, made))
    if foreign := [flag for flag in flags if flag in _taken(made) and flag not in known]:
        raise UsageError(_refused(foreign, name, made))


def _taken(made: Parsers) -> dict[str, int | str | None]:
    """Return how many values each option takes: None for one."""
    return {
        flag: action.nargs
        for parser in made.values()
        for action in parser._actions
        for flag in action.option_strings
    }


def _values(following: Sequence[str], nargs: int | str | None, made: Parsers) -> int:
    """Return how many of the words that follow an option are its values."""
    if nargs != "*":
        return int(nargs is None)
    for many, word in enumerate(following):
        if word in made or word.startswith("-"):
            return many
    return len(following)


def _not_a_command(word: str, flags: Iterable[str], made: Parsers) -> str:
    """Return a sentence on an unknown option whose value the word may be, else on the word."""
    known = _taken(made)
    for flag in flags:
        if flag.startswith("--") and flag not in known:
            return _unknown(flag, known)
    return no_command(word)


def _refused(left: Sequence[str], name: str, made: Parsers) -> str:
    flag = left[0].partition("=")[0]
    if flag == "--remote":
        return "--remote is for the screen only; for other commands: ssh USER@HOST ebpftop ..."
    where = [word for word, parser in made.items() if flag in parser._option_string_actions]
    if not where:
        return _unknown(left[0], made[name]._option_string_actions, _taken(made))
    others = ", ".join("the monitor" if word == MONITOR else f"`{word}`" for word in where)
    said = "the monitor" if name == MONITOR else f"`{name}`"
    return f"{said} does not take {flag}; it belongs to {others}"


def _unknown(word: str, *known: Iterable[str]) -> str:
    """Return a sentence on an option that nobody knows, with its full name or similar ones.

    known: lists of options, those of the command before those of all.
    """
    flag, said = word.partition("=")[0], f"unknown option or argument {printable(word)!r}"
    if not re.match(r"--\w", flag):
        return said
    for flags in known:
        if full := [f for f in flags if f.startswith(flag)]:
            return f"{printable(flag)}: write {' or '.join(full)}; options have no abbreviations"
    near = (did_you_mean(flag, [f for f in flags if f.startswith("--")]) for flags in known)
    return said + next(filter(None, near), "")
