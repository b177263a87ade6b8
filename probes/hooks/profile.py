"""Profile: what runs on the CPUs, by process and call stack, from 49 samples a second on each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from probes.columns.cells import Cells, NumberCells
from probes.toolkit import WHO, Hook, Program, Rung, Samples, Unit, counter, decode, owner, process
from probes.toolkit.stacks import MAP, STACK, by_stack

if TYPE_CHECKING:
    from numpy.typing import NDArray

HERTZ = 49
"""Samples a second on each CPU. No divisor of 100 or 1000, so as not to be in step with timers."""
_SECOND, _MOST_SAMPLES = 1_000_000_000, 1 << 33
"""Nanoseconds; samples up to which their time fits into 63 bits."""

# In an interrupt that nothing holds off: no map that allocates or evicts. What has no room is lost.
_SOURCE = (
    WHO
    + """
struct who { u64 pid; s64 kernel, user; char comm[16]; };
struct slot { u64 samples; };
BPF_TABLE("percpu_hash", struct who, struct slot, rows, 16384);
BPF_TABLE("percpu_array", u32, u64, lost, 1);
"""
    + MAP
    + """
int sample(u64 *ctx) {
    struct who key = {.pid = this_pid()};
    struct slot once = {.samples = 1}, *slot;
    u32 first = 0;
    u64 *missed;
    if (!(u32)bpf_get_current_pid_tgid())
        return 0; /* idle */
    key.kernel = stacks.get_stackid(ctx, 0);
    key.user = stacks.get_stackid(ctx, BPF_F_USER_STACK);
    this_name(key.comm);
    slot = rows.lookup(&key);
    if (slot)
        slot->samples++;
    else if (rows.update(&key, &once) && (missed = lost.lookup(&first)))
        ++*missed;
    return 0;
}
"""
)


def _times(samples: NDArray[Any]) -> Cells | None:
    if len(samples) and int(samples.max()) >= _MOST_SAMPLES:
        return None
    return NumberCells(samples.astype("i8") * _SECOND // HERTZ)


@decode.many(_times)
def _time(samples: Any) -> int:
    return int(samples) * _SECOND // HERTZ


def _rung(name: str, least: str) -> Rung:
    return Rung(
        name,
        f"{least}, CAP_BPF, CAP_PERFMON",
        by_stack(),
        source=_SOURCE,
        programs=(Program("sample", Samples(name, HERTZ)),),
    )


HOOK = Hook(
    name="profile",
    title="CPU profile",
    question="Which processes run on the CPUs, and in which kernel and user code.",
    columns=(
        *process("process id (tgid)"),
        counter("samples", "Samples", f"samples taken of it: {HERTZ} a second are one whole CPU"),
        counter(
            "cpu_ns",
            "CPU",
            "CPU time, estimated from the samples",
            Unit.NS,
            field="samples",
            decode=_time,
        ),
        STACK,
        *owner("the process"),
    ),
    ladder=(
        _rung("cycles", "Linux 4.9, a hardware counter"),
        _rung("cpu-clock", "Linux 4.9"),
    ),
    order=78,
    on_demand=True,
)
