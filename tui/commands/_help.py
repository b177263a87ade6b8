"""What `--help` says around the options: a sentence, examples, exit statuses."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.commands import Command

ABOUT = "top(1) for the kernel's eBPF hooks: without a command, the live monitor."
LADDER = (
    "A hook's ladder is the ways to get its numbers, best first; a rung is one of them. "
    "ebpftop climbs down to the first rung that this kernel offers."
)
"""The two words, for users who have not read the guide."""
WIDTH = 79

Statuses = Mapping[int | str, str]
"""Exit statuses and what each means, in the order of the help."""

_USAGE = "wrong usage"
_SIGNAL = "ended by signal n (130: ^C), with everything detached"
PRINTED: Statuses = {0: "done", 1: "the output could not be written", 2: _USAGE}
WATCHED: Statuses = {
    0: "done",
    1: "a hook or rung asked for by name is not attached, or the output could not be written",
    2: _USAGE,
    "128+n": _SIGNAL,
}
SHOWN: Statuses = {
    0: "left by q",
    1: "the screen could not start, or ended with an error",
    2: _USAGE,
    "128+n": _SIGNAL,
}


class HelpLayout(argparse.RawDescriptionHelpFormatter):
    """Lines of at most 79 columns, options far enough to the left to leave room for words."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        """Name the value once, as newer Pythons do: "-d, --interval SECONDS"."""
        return re.sub(r"^(-\w) .*?, (?=--)", r"\1, ", super()._format_action_invocation(action))


def about(command: Command) -> str:
    """Return the first sentence of a command's help, and what else is said before its options."""
    said = f"{command.HELP[:1].upper()}{command.HELP[1:]}." if command.HELP else ""
    more = getattr(command, "ABOUT", "")
    return "\n\n".join(filter(None, (said, textwrap.fill(more, WIDTH))))


def epilog(command: Command) -> str:
    """Return what stands after the options: examples, then exit statuses."""
    return "\n\n".join(filter(None, (_examples(command), _statuses(command.STATUSES))))


def _examples(command: Command) -> str:
    """Return lines of the examples, each below what it does."""
    told = [f"  {line}\n      {says}" for line, says in command.EXAMPLES.items()]
    return "\n".join(["examples:", *told]) if told else ""


def _statuses(statuses: Statuses) -> str:
    told = [line for status in statuses.items() for line in _status(*status)]
    return "\n".join(["exit status:", *told]) if told else ""


def _status(number: int | str, meaning: str) -> Iterator[str]:
    first, *others = textwrap.wrap(meaning, WIDTH - 9)
    yield f"  {number:<6} {first}"
    yield from (f"{'':9}{line}" for line in others)
