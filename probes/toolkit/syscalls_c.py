"""What hooks that count system calls share: the C that times them, and the rungs that run it.

A call is counted when it returns; exit and exit_group, which never do, when they begin. What was
under way when counting began is not counted. The number is that of the entry: nothing is read
from kernel memory at the exit, and a child's return from fork, which never entered, is no call.
"""

from __future__ import annotations

import platform
from collections.abc import Callable

from probes.kernel import syscall_table
from probes.model import Program, Rung
from probes.point import BtfTracepoint, RawTracepoint, Tracepoint
from probes.toolkit.readers import Open

SLOTS = 512
"""Numbers of system calls that are told apart; the highest in use is below 480."""
COMPAT = SLOTS - 1
"""The slot of all calls of 32-bit processes: their numbers mean other calls."""
TYPES = ("pt_regs", "task_struct", "thread_info")

# In 64-bit mode the code segment is __USER_CS (0x33), in 32-bit mode __USER32_CS (0x23); x32 calls
# are the same calls with bit 30 set. arm64 says so in pstate (PSR_MODE32_BIT).
_IS_COMPAT = {
    "x86_64": ("cs", "== 0x23"),
    "aarch64": ("pstate", "& 0x10"),
}

# `begun` is LRU, and overwritten rather than deleted: that is the cheaper half of a lookup, and
# a thread that ends in a call leaves nothing that would fill the map.
_TIMING = """
struct begin { u64 at; u32 id; u32 unused; };
BPF_TABLE("lru_hash", u32, struct begin, begun, 16384);

#ifndef ONE_IN
#define ONE_IN 1
#endif

static inline void entered(u32 id, int compat) {
    if (ONE_IN > 1 && bpf_get_prandom_u32() % ONE_IN)
        return;
    u32 thread = bpf_get_current_pid_tgid();
    struct begin now = {.at = bpf_ktime_get_ns()}, *mine;
    now.id = compat ? COMPAT : id & ~0x40000000;
    if (now.id >= SLOTS || UNWANTED(now.id))
        return;
    if (!compat && (now.id == EXIT || now.id == EXIT_GROUP)) {
        count(now.id, 0, 0, 0);
        return;
    }
    mine = begun.lookup(&thread);
    if (mine)
        *mine = now;
    else
        begun.update(&thread, &now);
}

static inline void left(long result) {
    u32 thread = bpf_get_current_pid_tgid();
    struct begin *mine = begun.lookup(&thread);
    if (!mine || !mine->at)
        return;
    u64 ns = bpf_ktime_get_ns() - mine->at;
    mine->at = 0;
    count(mine->id, ns, result, 1);
}
"""
_PROGRAMS = {
    "typed": """
int enter(u64 *ctx) { entered(ctx[1], IS_COMPAT(ARG(ctx, 0, struct pt_regs *)->FIELD)); return 0; }
int leave(u64 *ctx) { left(ctx[1]); return 0; }
""",
    "raw": """
int enter(u64 *ctx) {
    u64 word = 0;
    bpf_probe_read_kernel(&word, sizeof(word), &ARG(ctx, 0, struct pt_regs *)->FIELD);
    entered(ctx[1], IS_COMPAT(word));
    return 0;
}
int leave(u64 *ctx) { left(ctx[1]); return 0; }
""",
    # Fields after the 8 common bytes: id, then args or ret; they have never moved.
    "tracefs": """
int enter(u64 *ctx) {
    u32 id = ctx[1], compat = 0;
#if ON_X86
    struct task_struct *task = (void *)bpf_get_current_task();
    bpf_probe_read_kernel(&compat, sizeof(compat), &task->thread_info.status);
    compat &= 2; /* TS_COMPAT */
#endif
    entered(id, compat);
    return 0;
}
int leave(u64 *ctx) { left(ctx[2]); return 0; }
""",
}


def compat() -> str:
    """IS_COMPAT(regs->FIELD): whether a call is one of a 32-bit process, by its struct pt_regs."""
    field, test = _IS_COMPAT.get(platform.machine(), ("", ""))
    told = f"((u16)(word) {test})" if test else "0"
    return f"#define FIELD {field}\n#define IS_COMPAT(word) {told}\n"


def source(count: str, how: str, *, only: int | None = None) -> str:
    """The source for one kind of tracepoint: "typed", "raw" or "tracefs".

    count: C that defines `count(id, ns, result, timed)` and its maps. only: the one call wanted.
    """
    defines = {
        "SLOTS": SLOTS,
        "COMPAT": COMPAT,
        "EXIT": syscall_table.number("exit"),
        "EXIT_GROUP": syscall_table.number("exit_group"),
        "UNWANTED(id)": 0 if only is None else f"((id) != {only})",
        "ON_X86": int(platform.machine() == "x86_64"),
    }
    head = "".join(f"#define {name} {value}\n" for name, value in defines.items()) + compat()
    return head + count + _TIMING + _PROGRAMS[how]


def rungs(made: Callable[[str], str | Callable[[str], str]], open: Open) -> tuple[Rung, ...]:
    """The ways to see every system call, cheapest first. made: the source for one of them."""
    kinds = (
        ("btf-tracepoint", "Linux 5.5, BTF", "typed", BtfTracepoint),
        ("raw-tracepoint", "Linux 4.17", "raw", RawTracepoint),
        ("tracepoint", "Linux 4.7, tracefs", "tracefs", _tracefs),
    )
    return tuple(
        Rung(
            name,
            f"{least}, CAP_BPF, CAP_PERFMON",
            open,
            source=made(how),
            types=TYPES,
            programs=(Program("enter", point("sys_enter")), Program("leave", point("sys_exit"))),
            samples=True,
        )
        for name, least, how, point in kinds
    )


def _tracefs(name: str) -> Tracepoint:
    return Tracepoint("raw_syscalls", name)
