"""Opens: every file that is opened, by which process, and how it fails; a log of all of them."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from typing import Any

from probes.attach.kprobe import FEW_RETURNS, Kprobe, Kretprobe
from probes.attach.tracepoint import BtfTracepoint, Tracepoint
from probes.attach.trampoline import Fentry, Fexit
from probes.kernel import syscall_table
from probes.model import Column, Hook, Kind, Program, Row, Rung
from probes.toolkit import columns, decode
from probes.toolkit.counters_c import UNCOUNTED, everything
from probes.toolkit.readers import logged, thread_of
from probes.toolkit.restarts import RESTARTS
from probes.toolkit.syscalls_c import compat
from probes.toolkit.who_c import WHO
from probes.units import Unit

_LOADS = "CAP_BPF, CAP_PERFMON"
_NONE_SEES = (
    "what io_uring opens, what is opened by a handle, what seccomp refuses, and opens that a "
    "signal ends (EINTR) are not seen"
)
_MALFORMED = "malformed calls of openat2() are not seen"
_OTHER_ABIS = "calls of 32-bit and x32 programs are not seen"
_TYPES = ("pt_regs",)

# The name is read when the call returns: the kernel has read it by then, so that it is in memory.
_COUNT = (
    WHO
    + RESTARTS
    + """
struct who { u64 pid; char comm[16]; };
struct slot { u64 opens, failed, error; };
struct event { u64 pid; s64 result; char comm[16], path[240]; };
BPF_TABLE("lru_hash", struct who, struct slot, rows, 4096);
BPF_TABLE("hash", u64, u64, calls, 8192);
BPF_TABLE("array", u32, u64, lost, 1);
BPF_QUEUE(events, struct event, 8192);
"""
    + everything()
    + UNCOUNTED
    + """

static inline void begun(u64 path) {
    u64 thread = bpf_get_current_pid_tgid();
    if (calls.update(&thread, &path))
        not_counted();
}

static inline void ended(s64 result) {
    u64 thread = bpf_get_current_pid_tgid(), *path = calls.lookup(&thread), *missed;
    struct event event = {.pid = this_pid(), .result = result};
    struct who key = {.pid = event.pid};
    struct slot none = {}, *slot, *all = sum_of_all();
    u32 first = 0;
    if (!path)
        return;
    if (restarts(result)) { /* it is begun again */
        calls.delete(&thread);
        return;
    }
    bpf_probe_read_user_str(event.path, sizeof(event.path), (void *)*path);
    calls.delete(&thread);
    this_name(event.comm);
    __builtin_memcpy(key.comm, event.comm, 16);
    slot = rows.lookup(&key);
    if (!slot) {
        rows.insert(&key, &none);
        slot = rows.lookup(&key);
    }
    TALLY(slot, all, opens, 1);
    if (result < 0) {
        TALLY(slot, all, failed, 1);
        if (slot)
            slot->error = -result;
    }
    if (events.push(&event, 0) && (missed = lost.lookup(&first)))
        ADD(missed, 1);
}
"""
)
_FUNCTION = """
int enter(u64 *ctx) { begun(ctx[1]); return 0; }
int leave(u64 *ctx) { ended((int)ctx[3]); return 0; }
"""
_KPROBE = """
int enter(struct pt_regs *ctx) { begun(PT_REGS_PARM2(ctx)); return 0; }
int leave(struct pt_regs *ctx) { ended((int)PT_REGS_RC(ctx)); return 0; }
"""
# Fields after the 8 common bytes and the number: the arguments, or the result.
_TRACEFS = """
int enter_first(u64 *ctx) { begun(ctx[2]); return 0; }
int enter(u64 *ctx) { begun(ctx[3]); return 0; }
int leave(u64 *ctx) { ended(ctx[2]); return 0; }
"""
_TYPED = """
int enter(u64 *ctx) {
    struct pt_regs *regs = ARG(ctx, 0, struct pt_regs *);
    u32 call = ctx[1];
    if (call == COMPAT_OPENAT || call == OPENAT2) {
        if (is_compat()) {
            begun((u32)COMPAT_PARM2(regs));
            return 0;
        }
    } else if ((call == COMPAT_OPEN || call == COMPAT_CREAT) && is_compat()) {
        begun((u32)COMPAT_PARM1(regs));
        return 0;
    }
    call &= ~X32;
    if (call != OPENAT && call != OPENAT2 && call != OPEN && call != CREAT)
        return 0;
    if (is_compat())
        return 0;
    begun(call == OPENAT || call == OPENAT2 ? PT_REGS_PARM2(regs) : PT_REGS_PARM1(regs));
    return 0;
}
int leave(u64 *ctx) { ended(ctx[1]); return 0; }
"""
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
    return head + compat(typed=True) + _COUNT + _TYPED


def _calls() -> tuple[Program, ...]:
    """Each call's own tracepoints; some architectures have only the newer calls."""
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
    answers="Which files processes open, and which they cannot.",
    columns=(
        *columns.process("process that opens"),
        Column("opens", "Opens", Unit.COUNT, Kind.COUNTER, "opens", help="calls that returned"),
        Column("failed", "Failed", Unit.COUNT, Kind.COUNTER, "failed", help="that gave an errno"),
        Column(
            "error", "Error", field="error", decode=_error, width=10,
            help="of the latest that failed",
        ),
    ),
    ladder=(
        Rung(
            "fentry",
            f"Linux 5.6, BTF, {_LOADS}",
            _OPEN,
            source=_COUNT + _FUNCTION,
            programs=(
                Program("leave", Fexit("do_sys_openat2")),
                Program("enter", Fentry("do_sys_openat2")),
            ),
            misses=f"{_MALFORMED}; {_NONE_SEES}",
        ),
        Rung(
            "kprobe",
            f"Linux 5.6, CONFIG_KPROBES, {_LOADS}",
            _OPEN,
            source=_COUNT + _KPROBE,
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
            source=_COUNT + _TRACEFS,
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
    log=(
        Column("pid", "Pid", Unit.NUMBER, width=7, help="process that opened it"),
        Column("comm", "Command", width=16, help="its name at that moment"),
        Column("result", "Result", width=10, help="the file descriptor, or the errno"),
        Column("path", "Path", width=60, help="as the process wrote it; its first 239 bytes"),
    ),
)  # fmt: skip
