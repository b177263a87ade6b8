"""What hooks that count system calls share: the C that times them, and the rungs that run it.

A call is counted when it has returned to its process; exit and exit_group, which never do, when
they begin. Its time is known if it began while we watched, so neither what was under way before
nor what seccomp refuses (which never begins) has one. A child's return from fork is no call.

What a signal interrupts has not returned: the kernel begins it again, and it is still the same
call, unless a handler is called that makes it end with EINTR (`signal_deliver` tells).
"""

from __future__ import annotations

import errno
import platform
from collections.abc import Callable

from probes.attach.tracepoint import BtfTracepoint, RawTracepoint, Tracepoint
from probes.kernel import btf, syscall_table
from probes.model import Program, Rung
from probes.toolkit.readers import Open
from probes.toolkit.restarts import RESTARTS

SLOTS = 513
"""Numbers that are told apart, and one for those beyond; the highest in use is below 480."""
OTHER = SLOTS - 1
"""The number that stands for all that no table has, of any kind."""
TYPES = ("pt_regs", "task_struct", "thread_info", "k_sigaction")
_TASK_BTF = "BPF_FUNC_get_current_task_btf"

# What says that a call came through the table of 32-bit programs, whatever the code segment:
# TS_COMPAT (a 64-bit process may do `int 0x80`), TIF_32BIT.
_COMPAT_FIELD = {"x86_64": ("status", "& 2"), "aarch64": ("flags", ">> 22 & 1")}
_NUMBER_FIELD = {"x86_64": "orig_ax", "aarch64": "syscallno"}
_X32_NUMBERS = 1024

# Keyed by the task, not by its number: an execve() by a thread ends under its leader's number, and
# what is begun under one must not be ended by a later thread of the same number.
_TIMING = """
#define SKIPPED 1 /* as the time of a call that is not counted, of ONE_IN */
struct begin { u64 at; u32 id, restart; };
BPF_TABLE("hash", u64, struct begin, begun, 16384);

#ifndef ONE_IN
#define ONE_IN 1
#endif
#define SKIP (ONE_IN > 1 && bpf_get_prandom_u32() % ONE_IN)

/* The number with the mark of its table. */
static inline u32 call_of(u32 nr, int compat) {
    if (compat)
        return nr < OTHER ? nr | COMPAT : OTHER;
    if (ON_X86 && (nr & X32) && nr != -1u)
        return (nr & ~X32) < X32_NUMBERS ? nr : OTHER;
    return nr < OTHER ? nr : OTHER;
}
static inline int ends_thread(u32 nr, int compat) {
    return compat ? nr == 1 || nr == 252 : nr == EXIT || nr == EXIT_GROUP;
}
static inline int forks(u32 nr, int compat) {
    if (compat)
        return nr == 2 || nr == 120 || nr == 190 || nr == 435;
    return (ON_X86 && (nr == 57 || nr == 58)) || nr == CLONE || nr == CLONE3;
}
static inline int begins_again(u32 nr, int compat) {
    return compat ? nr == 0 : nr == RESTART;
}

static inline void entered(u32 nr) {
    u64 task = bpf_get_current_task();
    struct begin now = {}, *mine;
    int compat, again = nr == 0 || nr == RESTART;
    if (UNWANTED(nr) && !again)
        return;
    compat = is_compat();
    again = begins_again(nr, compat);
    now.id = call_of(nr, compat);
    if (!WANTED(now.id) && !again)
        return;
    mine = begun.lookup(&task);
    if (mine && mine->restart && (again || mine->id == now.id)) {
        mine->restart = 0;
        if (mine->at)
            return;
        now.id = mine->id;
    }
    if (!WANTED(now.id))
        return;
    now.at = SKIP ? SKIPPED : bpf_ktime_get_ns();
    if (ends_thread(nr, compat)) {
        if (now.at != SKIPPED)
            count(now.id, 0, 0, 0);
        return;
    }
    if (mine)
        *mine = now;
    else
        begun.update(&task, &now);
}

static inline void settled(u32 id, u64 at, long result) {
    if (at == SKIPPED || (!at && SKIP))
        return;
    count(id, at ? bpf_ktime_get_ns() - at : 0, result, at != 0);
}

static inline void left(u32 nr, long result) {
    u64 task = bpf_get_current_task(), at = 0;
    struct begin *mine = begun.lookup(&task), none = {};
    if (mine && !mine->restart && mine->at) {
        at = mine->at;
        none.id = mine->id;
    } else {
        if (UNWANTED(nr))
            return;
        int compat = is_compat();
        none.id = call_of(nr, compat);
        if (!WANTED(none.id))
            return;
        /* A new task's first return: of fork, or of what the kernel itself starts (number 0). */
        if (!result && (forks(nr, compat) || !nr))
            return;
        if (nr == -1u && result >= 0)
            return;
    }
    if (restarts(result)) {
        none.restart = -result;
        if (mine && at)
            mine->restart = none.restart;
        else
            begun.update(&task, &none);
        return;
    }
    if (mine && at)
        mine->at = 0;
    settled(none.id, at, result);
}

/* A handler is called: what it interrupted ends with EINTR, or begins again after it. */
static inline void signalled(u64 handler, u64 flags) {
    u64 task = bpf_get_current_task(), at;
    struct begin *mine = begun.lookup(&task);
    u32 code;
    if (!mine || !mine->restart || handler <= 1 /* SIG_DFL, SIG_IGN */)
        return;
    code = mine->restart;
    at = mine->at;
    mine->restart = 0;
    mine->at = 0;
    if (code == ERESTARTNOHAND || code == ERESTART_RESTARTBLOCK ||
        (code == ERESTARTSYS && !(flags & 0x10000000 /* SA_RESTART */)))
        settled(mine->id, at, -EINTR);
}

static inline int ended(void) {
    u64 task = bpf_get_current_task();
    begun.delete(&task);
    return 0;
}
"""
_PROGRAMS = {
    "typed": """
int enter(u64 *ctx) { entered(ctx[1]); return 0; }
int leave(u64 *ctx) { left(ARG(ctx, 0, struct pt_regs *)->NUMBER, ctx[1]); return 0; }
int signal(u64 *ctx) {
    struct k_sigaction *action = ARG(ctx, 2, struct k_sigaction *);
    signalled((u64)action->sa.sa_handler, action->sa.sa_flags);
    return 0;
}
int finish(u64 *ctx) { return ended(); }
""",
    "raw": """
int enter(u64 *ctx) { entered(ctx[1]); return 0; }
int leave(u64 *ctx) {
    u64 number = 0;
    bpf_probe_read_kernel(&number, sizeof(((struct pt_regs *)0)->NUMBER),
                          &ARG(ctx, 0, struct pt_regs *)->NUMBER);
    left(number, ctx[1]);
    return 0;
}
int signal(u64 *ctx) {
    struct k_sigaction *action = ARG(ctx, 2, struct k_sigaction *);
    u64 handler = 0, flags = 0;
    bpf_probe_read_kernel(&handler, sizeof(handler), &action->sa.sa_handler);
    bpf_probe_read_kernel(&flags, sizeof(flags), &action->sa.sa_flags);
    signalled(handler, flags);
    return 0;
}
int finish(u64 *ctx) { return ended(); }
""",
    # Fields after the 8 common bytes: id, then args or ret; sig, errno, code, handler, flags. They
    # have never moved.
    "tracefs": """
int enter(u64 *ctx) { entered(ctx[1]); return 0; }
int leave(u64 *ctx) { left(ctx[1], ctx[2]); return 0; }
int signal(u64 *ctx) { signalled(ctx[3], ctx[4]); return 0; }
int finish(u64 *ctx) { return ended(); }
""",
}


def compat(*, typed: bool) -> str:
    """Return C for is_compat(): whether the call under way is of the table of 32-bit programs.

    typed: for programs with BTF, which read the task directly where the kernel lets them
    (Linux 5.11); elsewhere it is read by a helper.
    """
    field, test = _COMPAT_FIELD.get(platform.machine(), ("", ""))
    if not field:
        return "static inline int is_compat(void) { return 0; }\n"
    task = "struct task_struct *task ="
    if typed and (number := _helper(_TASK_BTF)):
        read = f"{task} ((struct task_struct *(*)(void)){number})();\n"
        read += f"    u64 word = task->thread_info.{field};"
    else:
        read = f"{task} (void *)bpf_get_current_task();\n    u64 word = 0;\n"
        read += f"    bpf_probe_read_kernel(&word, sizeof(task->thread_info.{field}),\n"
        read += f"                          &task->thread_info.{field});"
    return f"static inline int is_compat(void) {{\n    {read}\n    return !!(word {test});\n}}\n"


def _helper(name: str) -> int | None:
    return next((n for n, helper in btf.enum("bpf_func_id").items() if helper == name), None)


def number_field() -> str:
    """Return the field of struct pt_regs that has the number of the call under way."""
    return _NUMBER_FIELD.get(platform.machine(), "orig_ax")


def source(count: str, how: str, *, only: int | None = None) -> str:
    """Return the source for one kind of tracepoint: "typed", "raw" or "tracefs".

    count: C that defines `count(id, ns, result, timed)` and its maps. only: the one call wanted,
    with the mark of its table.
    """
    bare = None if only is None else only & ~syscall_table.COMPAT
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
        "UNWANTED(nr)": 0 if bare is None else f"((nr) != {bare:#x}u)",
        "WANTED(id)": 1 if only is None else f"((id) == {only:#x}u)",
        "ON_X86": int(platform.machine() == "x86_64"),
        "NUMBER": number_field(),
        "EINTR": errno.EINTR,
    }
    head = "".join(
        f"#undef {name.partition('(')[0]}\n#define {name} {value}\n"
        for name, value in defines.items()
    )
    return head + compat(typed=how == "typed") + count + RESTARTS + _TIMING + _PROGRAMS[how]


def rungs(made: Callable[[str], str | Callable[[str], str]], open: Open) -> tuple[Rung, ...]:
    """Return the ways to see every system call, cheapest first. made: the source for one."""
    kinds = (
        ("btf-tracepoint", "Linux 5.5, BTF", "typed", BtfTracepoint, BtfTracepoint, BtfTracepoint),
        ("raw-tracepoint", "Linux 4.17", "raw", RawTracepoint, RawTracepoint, RawTracepoint),
        ("tracepoint", "Linux 4.10, tracefs", "tracefs", _tracefs, _signal, _sched),
    )
    return tuple(
        Rung(
            name,
            f"{least}, CAP_BPF, CAP_PERFMON",
            open,
            source=made(how),
            types=TYPES,
            programs=(
                Program("enter", point("sys_enter")),
                Program("leave", point("sys_exit")),
                Program("signal", signal("signal_deliver")),
                Program("finish", sched("sched_process_exit")),
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
