"""Ends of processes: which end, by which signal or status, and after how long."""

from __future__ import annotations

import signal

from probes.toolkit import (
    CGROUP_ID,
    WHO,
    BtfTracepoint,
    Hook,
    Program,
    RawTracepoint,
    Rung,
    Tracepoint,
    Unit,
    by_columns,
    c_source,
    counter,
    decode,
    derived,
    everything,
    key,
    level,
    mean,
    owner,
)

_SOURCE = WHO + c_source(__file__, "rows.c") + everything() + c_source(__file__, "count.c")
_LOADS = "CAP_BPF, CAP_PERFMON"


def _end(code: object) -> str:
    """Return "SIGSEGV" or "status 1" of a wait status."""
    number = code if isinstance(code, int) else 0
    by = number & 0x7F
    if not by:
        return f"status {number >> 8}"
    try:
        return signal.Signals(by).name
    except ValueError:
        return f"signal {by}"


HOOK = Hook(
    name="exits",
    title="Ends of processes",
    question="Which processes end, by which signal or with which status, and after how long.",
    columns=(
        key("comm", "Command", "the process's name at its end", decode=decode.comm, width=16),
        key("parent", "Parent", "name of the process that started it, or took it over",
            decode=decode.comm, width=16),
        key("end", "End", "the signal that ended it, or its exit status", field="code",
            decode=_end, width=12),
        counter("ends", "Ends", "processes that ended in this way"),
        counter("lived_ns", "Lived", "sum of their lifetimes", Unit.NS, hidden=True),
        derived("lifetime_ns", "Lifetime", "how long they lived on average, last 10 s", Unit.NS,
                mean("lived_ns", "ends")),
        level("pid", "Pid", "the latest of them", Unit.NUMBER, width=7, label=False),
        CGROUP_ID,
        *owner("the latest of them"),
    ),
    ladder=tuple(
        Rung(name, f"Linux {least}, {_LOADS}", by_columns(), source=_SOURCE,
             types=("task_struct", "pid"), programs=(Program("ended", point),))
        for name, least, point in (
            ("btf-tracepoint", "5.5, BTF", BtfTracepoint("sched_process_exit")),
            ("raw-tracepoint", "4.18", RawTracepoint("sched_process_exit")),
            ("tracepoint", "4.18, tracefs", Tracepoint("sched", "sched_process_exit")),
        )
    ),
    order=66,
    on_demand=True,
)  # fmt: skip
