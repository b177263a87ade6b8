"""Opens: which process opens which file, and why it fails; with a log of every call."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from typing import Any

from probes.attach.kprobe import FEW_RETURNS
from probes.kernel import syscall_table
from probes.toolkit import (
    CGROUP_ID,
    UNCOUNTED,
    WHO,
    BtfTracepoint,
    Fexit,
    Hook,
    Kprobe,
    Kretprobe,
    Program,
    Row,
    Rung,
    Tracepoint,
    c_source,
    counter,
    decode,
    event_log,
    everything,
    given,
    level,
    logged,
    logged_process,
    owner,
    process,
    thread_of,
)
from probes.toolkit.restarts import RESTARTS
from probes.toolkit.syscalls_c import compat, number_field

_LOADS = "CAP_BPF, CAP_PERFMON"
_NONE_SEES = (
    "opens by io_uring, opens by handle, calls that seccomp refuses and calls that a signal "
    "interrupts (EINTR) are not seen"
)
_MALFORMED = "malformed calls of openat2() are not seen"
_OTHER_ABIS = "calls of 32-bit and x32 programs are not seen"
_TYPES = ("pt_regs",)

_ROWS = WHO + RESTARTS + c_source(__file__, "rows.c")
_COUNT = _ROWS + everything() + event_log(8192) + UNCOUNTED + c_source(__file__, "count.c")
_ON_X86 = platform.machine() == "x86_64"


def _typed(_: str = "") -> str:
    numbers = {n.upper(): syscall_table.number(n) for n in ("open", "openat", "openat2", "creat")}
    # openat2 has the same number in all tables. i386's, and those of 32-bit ARM
    numbers |= {"COMPAT_OPEN": 5, "COMPAT_CREAT": 8, "COMPAT_OPENAT": 295 if _ON_X86 else 322}
    numbers |= {"X32": syscall_table.X32 if _ON_X86 else 0}
    head = "".join(
        f"#define {name} ((u32){-1 if number is None else number})\n"
        for name, number in numbers.items()
    )
    for place, register in ((1, "bx"), (2, "cx")):
        read = f"(regs)->{register}" if _ON_X86 else f"PT_REGS_PARM{place}(regs)"
        head += f"#define COMPAT_PARM{place}(regs) {read}\n"
    head += f"#define NUMBER {number_field()}\n"
    return head + compat(typed=True) + _COUNT + c_source(__file__, "typed.c")


def _calls() -> tuple[Program, ...]:
    """Return the tracepoints of each call; some architectures have only the newer calls."""
    made = [
        Program(function, Tracepoint("syscalls", f"sys_{side}_openat"))
        for function, side in (("leave", "exit"), ("enter", "enter"))
    ]
    for call, enters in (("open", "enter_first"), ("creat", "enter_first"), ("openat2", "enter")):
        for function, side in (("leave", "exit"), (enters, "enter")):
            point = Tracepoint("syscalls", f"sys_{side}_{call}")
            made.append(Program(function, point, True, f"calls of {call}() are not seen"))
    return tuple(made)


def _path(raw: Any) -> str:
    return os.fsdecode(bytes(raw).split(b"\0")[0]) or "?"


def _result(result: int) -> str:
    return decode.errno_name(-result) if result < 0 else f"fd {result}"


def _entry(e: Mapping[str, Any]) -> Row:
    return (e["pid"], decode.comm(e["comm"]), _result(e["result"]), _path(e["path"]))


def _error(number: Any) -> str:
    return decode.errno_name(number) if number else "-"


_OPEN = logged(_entry, under_way={"calls": thread_of})

HOOK = Hook(
    name="opens",
    title="Files opened",
    question="Which files processes open, and which they fail to open.",
    columns=(
        *process("process that opens the file"),
        counter("opens", "Opens", "calls that returned"),
        counter("failed", "Failed", "calls that returned an error"),
        level("error", "Error", "errno of the latest failure", decode=_error, width=10),
        CGROUP_ID,
        *owner("the process"),
    ),
    ladder=(
        Rung(
            "fentry",
            f"Linux 5.6, BTF, {_LOADS}",
            _OPEN,
            source=_COUNT + c_source(__file__, "fentry.c"),
            programs=(Program("leave", Fexit("do_sys_openat2")),),
            misses=f"{_MALFORMED}; {_NONE_SEES}",
        ),
        Rung(
            "kprobe",
            f"Linux 5.6, CONFIG_KPROBES, {_LOADS}",
            _OPEN,
            source=_COUNT + c_source(__file__, "kprobe.c"),
            types=_TYPES,
            programs=(
                Program("leave", Kretprobe("do_sys_openat2")),
                Program("enter", Kprobe("do_sys_openat2")),
            ),
            misses=f"{FEW_RETURNS}; {_MALFORMED}; {_NONE_SEES}",
        ),
        # Only these calls run it; what follows runs at every system call.
        Rung(
            "tracepoint",
            f"Linux 4.20, tracefs, {_LOADS}",
            _OPEN,
            source=_COUNT + c_source(__file__, "tracefs.c"),
            programs=_calls(),
            misses=f"{_NONE_SEES}; {_OTHER_ABIS}",
        ),
        Rung(
            "btf-tracepoint",
            f"Linux 5.5, BTF, {_LOADS}",
            _OPEN,
            source=_typed,
            types=(*_TYPES, "task_struct", "thread_info"),
            programs=(
                Program("leave", BtfTracepoint("sys_exit")),
                Program("enter", BtfTracepoint("sys_enter")),
            ),
            misses=_NONE_SEES,
        ),
    ),
    order=62,
    on_demand=True,
    log=given(
        *logged_process("process that opened the file"),
        level("result", "Result", "the file descriptor, or the errno", width=10),
        level("path", "Path", "path as the process gave it; its first 239 bytes", width=60),
        *owner("the process"),
    ),
)
