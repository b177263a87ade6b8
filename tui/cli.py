"""The command line: argv -> a command -> exit status.

Exit status: 0 done; 1 a hook requested by name could not be attached on any rung; 2 usage;
130 and 143 after SIGINT and SIGTERM, everything detached.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence

from probes.errors import ProbeError
from probes.recording.writer import RecordingError
from tui.commands import run
from tui.commands._parsing import parse
from tui.commands._run import DONE, NOT_ATTACHED, USAGE, UsageError
from tui.config import paths
from tui.output import streams
from tui.output.streams import CannotPrint
from tui.terminal import crash, leaving, little_memory


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command `ebpftop` and return its exit status."""
    streams.make_ready()
    paths.ignore_relative()
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


if __name__ == "__main__":
    leaving.run(main)
