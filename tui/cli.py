"""The command line: argv -> a command -> exit status.

Exit status: 0 done; 1 a hook requested by name could not be attached on any rung; 2 usage;
130 and 143 after SIGINT and SIGTERM, everything detached.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import NoReturn

from probes.errors import ProbeError
from probes.recording.writer import RecordingError
from probes.units import did_you_mean, printable
from tui.commands import MONITOR, commands, run
from tui.commands._run import DONE, NOT_ATTACHED, USAGE, UsageError, version
from tui.output import streams
from tui.output.streams import CannotPrint
from tui.terminal import crash, leaving, little_memory


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command `ebpftop` and return its exit status."""
    streams.make_ready()
    threading.stack_size(1 << 20)  # 8 MB each do not fit in a bounded address space
    threading.excepthook, sys.unraisablehook = _told, little_memory.unraisable
    try:
        status = _run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()  # here, where a closed pipe is understood
        return status
    except (UsageError, RecordingError) as wrong:
        print(f"ebpftop: {wrong}", file=sys.stderr)
        return USAGE
    except ProbeError as refused:
        remedy = f" {refused.remedy}" if refused.remedy else ""
        print(f"ebpftop: {refused.why}.{remedy}", file=sys.stderr)
        return NOT_ATTACHED
    except BrokenPipeError:
        # The reader (head, jq) has seen enough: not an error.
        streams.give_up()
        return DONE
    except CannotPrint as why:
        streams.give_up()
        print(f"ebpftop: {why}", file=sys.stderr)
        return NOT_ATTACHED
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except MemoryError:
        leaving.give_up(little_memory.SENTENCE)
        return NOT_ATTACHED
    except Exception as error:  # one sentence; the report has the rest
        leaving.be_quiet()
        if not leaving.given_up():
            print(f"ebpftop: {crash.sentence(error)}", file=sys.stderr)
        return NOT_ATTACHED


def _told(ended: threading.ExceptHookArgs) -> None:
    """Report in one sentence what ended a thread, and write the crash report."""
    if ended.exc_type is MemoryError:
        leaving.give_up(little_memory.SENTENCE)
    elif ended.exc_value is not None and ended.exc_type is not SystemExit:
        print(f"ebpftop: {crash.sentence(ended.exc_value)}", file=sys.stderr)


def _run(argv: Sequence[str]) -> int:
    try:
        arguments = parse(argv)
    except SystemExit as said:  # argparse: the help, or what is wrong
        return int(said.code or 0)
    return run(arguments)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments; `command` of the result is the command's name.

    An option may come before the command as well as after it. Raises UsageError for one that the
    command does not take.
    """
    parsers = _parsers()
    name, words = _command(argv, parsers)
    parser = parsers[name]
    arguments, left = parser.parse_known_args(words)
    if left:
        raise UsageError(_refused(left, name, parsers))
    arguments.command = name
    return arguments


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise UsageError with one sentence; the usage is shown by `--help` only."""
        raise UsageError(f"{message}; see {self.prog} --help")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Print it; it is looked up only here, which takes longer than all of the parsers."""
        print(f"ebpftop {version()}")
        parser.exit()


def _parsers() -> dict[str, argparse.ArgumentParser]:
    """Build a parser for each command; the monitor's lists the help of all."""
    monitor = _Parser(
        prog="ebpftop",
        description="top(1) for the kernel's eBPF hooks",
        epilog="Without a command: the live monitor. Press ? there for its keys.",
        allow_abbrev=False,
    )
    parsers: dict[str, argparse.ArgumentParser] = {MONITOR: monitor}
    monitor.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands()[MONITOR].add_arguments(monitor)
    listed = monitor.add_subparsers(title="commands", metavar="COMMAND")
    for name, command in commands().items():
        if name == MONITOR:
            continue
        if command.HELP:
            said = f"{command.HELP[0].upper()}{command.HELP[1:]}."
            parser = listed.add_parser(
                name, help=command.HELP, description=said, allow_abbrev=False
            )
        else:
            parser = listed.add_parser(name, allow_abbrev=False)
        command.add_arguments(parser)
        parsers[name] = parser
    return parsers


def _command(
    argv: Sequence[str], parsers: Mapping[str, argparse.ArgumentParser]
) -> tuple[str, list[str]]:
    """Split off the command's name; options before it come first in what is left."""
    takes = {
        flag: action.nargs
        for parser in parsers.values()
        for action in parser._actions
        for flag in action.option_strings
    }
    words = iter(range(len(argv)))
    flags = []
    for i in words:
        flag, equals, _ = argv[i].partition("=")
        if flag.startswith("-"):
            flags.append(flag)
        if flag == "--":
            break
        if argv[i] in parsers:
            return argv[i], [*argv[:i], *argv[i + 1 :]]
        if not flag.startswith("-"):
            raise UsageError(_no_command(argv[i], parsers))
        if equals or flag not in takes:
            continue
        if takes[flag] is None:
            next(words, None)
        elif takes[flag] == "*":
            following = i + 1
            while following < len(argv) and argv[following] not in parsers:
                if argv[following].startswith("-"):
                    break
                following += 1
                next(words, None)
    known = parsers[MONITOR]._option_string_actions
    if foreign := [flag for flag in flags if flag.startswith("--") and flag not in known]:
        raise UsageError(_refused(foreign, MONITOR, parsers))  # its value would be the command
    return MONITOR, list(argv)


def _no_command(word: str, parsers: Mapping[str, argparse.ArgumentParser]) -> str:
    known = [name for name in parsers if commands()[name].HELP and name != MONITOR]
    near = did_you_mean(word, known) or f"; commands are {', '.join(known)}"
    return f"there is no command {printable(word)!r}{near}"


def _refused(left: Sequence[str], name: str, parsers: Mapping[str, argparse.ArgumentParser]) -> str:
    flag = left[0].partition("=")[0]
    if flag == "--remote":
        return "--remote is for the screen only; for other commands: ssh USER@HOST ebpftop ..."
    where = [word for word, parser in parsers.items() if flag in parser._option_string_actions]
    if not where:
        return f"unknown option or argument {printable(left[0])!r}"
    others = ", ".join("the monitor" if word == MONITOR else f"`{word}`" for word in where)
    mine = "the monitor" if name == MONITOR else f"`{name}`"
    return f"{mine} does not take {flag}; it belongs to {others}"


if __name__ == "__main__":
    leaving.run(main)
