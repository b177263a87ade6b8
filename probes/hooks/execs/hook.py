"""Programs started: which processes start them, and which cannot be started."""

from __future__ import annotations

import os
from typing import Any

from probes.toolkit import (
    CGROUP_ID,
    UNCOUNTED,
    WHO,
    Hook,
    Program,
    Rung,
    Tracepoint,
    Unit,
    by_columns,
    c_source,
    counter,
    decode,
    everything,
    key,
    level,
    owner,
    thread_of,
)

# Of a program that was started, its name is all that is left: the path was the caller's memory. Of
# one that was not, the path is read when the call returns: by then the kernel has read it.
_SOURCE = (
    WHO + c_source(__file__, "rows.c") + everything() + UNCOUNTED + c_source(__file__, "count.c")
)


def _file(raw: Any) -> str:
    return os.fsdecode(bytes(raw).split(b"\0")[0]) or "?"


def _error(number: Any) -> str:
    return decode.errno_name(number) if number else "-"


def _calls() -> tuple[Program, ...]:
    """Return the programs: ends before beginnings, so that what begins has an end."""
    second = "calls of execveat() are not seen"
    return (
        Program("leave", Tracepoint("syscalls", "sys_exit_execve")),
        Program("enter", Tracepoint("syscalls", "sys_enter_execve")),
        Program("leave", Tracepoint("syscalls", "sys_exit_execveat"), True, second),
        Program("enter_at", Tracepoint("syscalls", "sys_enter_execveat"), True, second),
    )


HOOK = Hook(
    name="execs",
    title="Programs started",
    question="Which programs processes start, and which they cannot start.",
    columns=(
        key("comm", "Command", "the process's name before", decode=decode.comm, width=16),
        key("file", "Program", "its name; of one that was not started, the path that was given, "
            "its first 95 bytes", decode=_file, width=40),
        counter("calls", "Calls", "calls of execve() and execveat() that returned"),
        counter("failed", "Failed", "calls that returned an error"),
        level("error", "Error", "errno of the latest failure", decode=_error, width=10),
        level("pid", "Pid", "process of the latest call", Unit.NUMBER, width=7, label=False),
        CGROUP_ID,
        *owner("that process"),
    ),
    ladder=(
        Rung(
            "tracepoint",
            "Linux 4.20, tracefs, CAP_BPF, CAP_PERFMON",
            by_columns(under_way={"calls": thread_of}),
            source=_SOURCE,
            programs=_calls(),
            misses=(
                "calls of 32-bit and x32 programs are not seen, nor programs that another thread "
                "than a process's first starts"
            ),
        ),
    ),
    order=67,
    on_demand=True,
)  # fmt: skip
