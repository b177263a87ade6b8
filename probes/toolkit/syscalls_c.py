"""Shared parts of hooks that count system calls: the C that times calls, and the rungs that run it.

A call is counted when it has returned to its process; exit and exit_group, which never do, when
they begin. Its time is known if it began while we watched, so there is none for calls that were
under way before, nor for those that seccomp refuses (which never begin). A child's return from fork
is no call.

A call that a signal interrupts has not returned: the kernel restarts it, and it is still the same
call, unless a handler is called that makes it end with EINTR (`signal_deliver` tells).
"""

from __future__ import annotations

import errno
import platform
from collections.abc import Callable

from probes.attach.tracepoint import BtfTracepoint, RawTracepoint, Tracepoint
from probes.kernel import syscall_table
from probes.model import Program, Rung
from probes.toolkit.c_files import c_source
from probes.toolkit.counters_c import UNCOUNTED
from probes.toolkit.readers import Open
from probes.toolkit.restarts import RESTARTS

SLOTS = 513
"""Call numbers kept apart, and one for those beyond; the highest in use is below 480."""
OTHER = SLOTS - 1
"""The number for all calls that no table has, of any kind."""
TYPES = ("pt_regs", "task_struct", "thread_info", "k_sigaction")

# What says that a call came through the table of 32-bit programs, whatever the code segment:
# TS_COMPAT (a 64-bit process may do `int 0x80`), TIF_32BIT.
_COMPAT_FIELD = {"x86_64": ("status", "& 2"), "aarch64": ("flags", ">> 22 & 1")}
_NUMBER_FIELD = {"x86_64": "orig_ax", "aarch64": "syscallno"}
_X32_NUMBERS = 1024


def compat(*, typed: bool) -> str:
    """Return C for is_compat(): whether the current call is of the table of 32-bit programs.

    typed: for programs with BTF, which read the task directly where the kernel lets them (Linux
    5.11); elsewhere it is read by a helper.
    """
    field, test = _COMPAT_FIELD.get(platform.machine(), ("", ""))
    if not field:
        return "static inline int is_compat(void) { return 0; }\n"
    task, word = "struct task_struct *task =", f"task->thread_info.{field}"
    read = f"{task} (void *)bpf_get_current_task();\n    u64 word = 0;\n"
    read += f"    bpf_probe_read_kernel(&word, sizeof({word}), &{word});\n"
    if typed:
        direct = f"{task} ((struct task_struct *(*)(void))TASK_BTF)();\n    u64 word = {word};\n"
        read = f"\n#ifdef TASK_BTF\n    {direct}#else\n    {read}#endif\n"
    return f"static inline int is_compat(void) {{\n    {read}    return !!(word {test});\n}}\n"


def number_field() -> str:
    """Return the field of struct pt_regs that holds the number of the current call."""
    return _NUMBER_FIELD.get(platform.machine(), "orig_ax")


def source(count: str, how: str, *, only: int | None = None) -> str:
    """Return the source for one kind of tracepoint: "typed", "raw" or "tracefs".

    count: C that defines `count(id, ns, result, timed)` and its maps. only: the one call wanted,
    with the mark of its table.
    """
    defines = {
        "SLOTS": SLOTS,
        "OTHER": OTHER,
        "COMPAT": f"{syscall_table.COMPAT:#x}u",
        "X32": f"{syscall_table.X32:#x}u",
        "X32_NUMBERS": _X32_NUMBERS,
        "EXIT": syscall_table.number("exit"),
        "EXIT_GROUP": syscall_table.number("exit_group"),
        "CLONE": syscall_table.number("clone"),
        "CLONE3": syscall_table.number("clone3"),
        "RESTART": syscall_table.number("restart_syscall"),
        "UNWANTED(nr)": 0 if only is None else "((nr) != (ONLY_CALL & ~COMPAT))",
        "WANTED(id)": 1 if only is None else "((id) == ONLY_CALL)",
        "ON_X86": int(platform.machine() == "x86_64"),
        "NUMBER": number_field(),
        "EINTR": errno.EINTR,
    }
    head = "".join(
        f"#undef {name.partition('(')[0]}\n#define {name} {value}\n"
        for name, value in defines.items()
    )
    timing = c_source(__file__, "syscalls.h", f"syscalls_{how}.c")
    wanted = "" if only is None else f"#define ONLY {only}\n"
    return wanted + head + compat(typed=how == "typed") + count + RESTARTS + UNCOUNTED + timing


def rungs(
    made: Callable[[str], str | Callable[[str], str]], open: Open, *, cgroup: bool = False
) -> tuple[Rung, ...]:
    """Return the rungs that see every system call, cheapest first.

    made: the source for one. cgroup: it asks for the caller's cgroup, which came with Linux 4.18.
    """
    raw, formatted = ("4.18", "4.18") if cgroup else ("4.17", "4.10")
    kinds = (
        ("btf-tracepoint", "Linux 5.5, BTF", "typed", BtfTracepoint, BtfTracepoint, BtfTracepoint),
        ("raw-tracepoint", f"Linux {raw}", "raw", RawTracepoint, RawTracepoint, RawTracepoint),
        ("tracepoint", f"Linux {formatted}, tracefs", "tracefs", _tracefs, _signal, _sched),
    )
    return tuple(
        Rung(
            name,
            f"{least}, CAP_BPF, CAP_PERFMON",
            open,
            source=made(how),
            types=TYPES,
            programs=(  # ends before beginnings: what begins has an end
                Program("finish", sched("sched_process_exit")),
                Program("signal", signal("signal_deliver")),
                Program("leave", point("sys_exit")),
                Program("enter", point("sys_enter")),
            ),
            samples=True,
        )
        for name, least, how, point, signal, sched in kinds
    )


def _tracefs(name: str) -> Tracepoint:
    return Tracepoint("raw_syscalls", name)


def _signal(name: str) -> Tracepoint:
    return Tracepoint("signal", name)


def _sched(name: str) -> Tracepoint:
    return Tracepoint("sched", name)
