"""One system call by process: who makes it, how often, with which errors and latency."""

from __future__ import annotations

import errno
import platform
from collections.abc import Callable

from probes.analysis.errnos import ErrnoClass, errno_meaning
from probes.kernel import syscall_table
from probes.toolkit import (
    CGROUP_ID,
    WHO,
    Gone,
    Hook,
    Opening,
    Reading,
    TargetKind,
    Unit,
    by_columns,
    counter,
    decode,
    everything,
    key,
    latency,
    level,
    owner,
)
from probes.toolkit.syscalls_c import rungs, source

# The name is that of the latest call: a process may exec() in between.
_COUNT = (
    WHO
    + """
struct slot { char comm[16]; u64 calls, errors, failures, total_ns, error, cgroup, latency[40]; };
struct sum { u64 calls, errors, failures, total_ns, latency[40]; };
BPF_TABLE("lru_hash", u32, struct slot, rows, 4096);
/* Errnos of this call that are no ordinary answers. */
BPF_TABLE("array", u32, u32, failing, 256);
"""
    + everything("struct sum")
    + """
static inline void count(u32 id, u64 ns, long result, int timed) {
    u32 pid = this_pid();
    struct slot zero = {}, *slot = rows.lookup_or_try_init(&pid, &zero);
    struct sum *all = sum_of_all();
    if (slot) {
        this_name(slot->comm);
        slot->cgroup = bpf_get_current_cgroup_id();
    }
    TALLY(slot, all, calls, 1);
    if (timed) {
        u64 bucket = bucket_of(ns, 40);
        TALLY(slot, all, total_ns, ns);
        TALLY(slot, all, latency[bucket], 1);
    }
    if (result < 0 && result >= -4095) {
        u32 error = -result, *fails = failing.lookup(&error);
        TALLY(slot, all, errors, 1);
        if (fails && *fails) {
            TALLY(slot, all, failures, 1);
            if (slot)
                slot->error = error;
        }
    }
}
"""
)


def _source(how: str) -> Callable[[str], str]:
    def of(target: str) -> str:
        number = syscall_table.number(target)
        if number is None:
            raise Gone(f"{platform.machine()} has no system call {target!r}")
        return source(_COUNT, how, only=number)

    return of


def _open(opening: Opening) -> Callable[[], Reading]:
    failing = opening.tables["failing"]
    for number, name in errno.errorcode.items():
        if errno_meaning(str(opening.target), name).errno_class is not ErrnoClass.ORDINARY:
            failing.update((number,), (1,))
    return by_columns()(opening)


def _error(number: object) -> str | None:
    return decode.errno_name(number) if isinstance(number, int) and number else None


HOOK = Hook(
    name="syscall-processes",
    title="Syscall by process",
    question="Which processes make one system call, how often, with which errors and latency.",
    columns=(
        key("pid", "Pid", "process id (tgid)", Unit.NUMBER, field="key", width=7, label=False),
        level(
            "comm",
            "Command",
            "the process's name at its latest call",
            decode=decode.comm,
            width=16,
            label=True,
        ),
        counter("calls", "Calls", "calls that returned"),
        counter("errors", "Errors", "calls that returned an error"),
        counter("failures", "Failures", "errors other than ordinary answers, by errno"),
        level("errno", "Errno", "the latest of these", field="error", decode=_error, width=10),
        *latency("latency", "time in the call"),
        CGROUP_ID,
        *owner("the process"),
    ),
    ladder=rungs(_source, _open, cgroup=True),
    order=65,
    reads_with=(),
    target=TargetKind.SYSCALL,
    on_demand=True,
)
