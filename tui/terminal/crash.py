"""Crash reports: where the error happened, without the values involved."""

from __future__ import annotations

import platform
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from probes.errors import as_refusal
from probes.units import printable
from tui.terminal import leaving, little_memory
from tui.terminal.files import write_new

_KEEP_FRAMES = 30


def report(error: BaseException) -> str:
    """Return the error's type and its frames as file, line and function.

    Neither messages nor locals are included: they hold addresses, names and paths of the host.
    """
    lines = [f"ebpftop crash, {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}"]
    lines.append(f"python {platform.python_version()}, linux {platform.release()}")
    cause: BaseException | None = error
    while cause is not None:
        lines.append(type(cause).__qualname__)
        for frame in traceback.extract_tb(cause.__traceback__)[-_KEEP_FRAMES:]:
            place = "/".join(Path(frame.filename).parts[-3:])
            lines.append(f"  {place}:{frame.lineno} {frame.name}")
        cause = cause.__cause__
    return "\n".join(lines) + "\n"


def sentence(error: BaseException) -> str:
    """Write a report of an unexpected error; return a sentence on it."""
    path = write(error)
    where = f"the report is in {path}" if path else "no report could be written"
    if isinstance(error, OSError) and error.strerror:
        place = f": {printable(str(error.filename))}" if error.filename else ""
        return f"the system refused something ({error.strerror}{place}); {where}"
    refusal = as_refusal(error, "the system refused something")
    if refusal.errno:  # no memory, no thread
        return f"{refusal.why}; {where}"
    return f"an internal error ({type(error).__name__}); {where}"


def unhandled(_loop: object, context: Mapping[str, Any]) -> None:
    """Report an error that no task awaits, and go on; for an event loop.

    Lack of memory ends the program: somebody may wait for what was lost.
    """
    error = context.get("exception")
    if isinstance(error, MemoryError):
        leaving.give_up(little_memory.SENTENCE)
    elif isinstance(error, Exception) and not leaving.begun():
        write(error)


def write(error: BaseException) -> Path | None:
    """Write the report to a new private file below XDG_STATE_HOME; None if that fails."""
    try:
        return write_new("crash", "txt", report(error))
    except (OSError, RuntimeError):  # RuntimeError: the home directory is unknown
        return None  # no place to write to: the sentence on stderr says so
