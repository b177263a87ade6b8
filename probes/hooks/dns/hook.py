"""DNS: look-ups of names by getaddrinfo, as programs ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from probes.attach.uprobe import Uprobe, Uretprobe
from probes.model import Column, Hook, Kind, Program, Row, Rung
from probes.toolkit import columns, decode
from probes.toolkit.columns import latency
from probes.toolkit.counters_c import UNCOUNTED, everything
from probes.toolkit.libraries import LIBC, Probed, following, own_libc
from probes.toolkit.readers import logged, thread_of
from probes.toolkit.who_c import WHO
from probes.units import Unit

# A call is under way once for each thread: where two programs run at one function, the second
# finds it begun, or counted already.
_SOURCE = (
    WHO
    + """
struct who { u64 pid; char comm[16]; char host[64]; };
struct slot { u64 lookups, failed, error, total_ns, latency[40]; };
struct asked { u64 at; char host[64]; };
struct event { u64 ns, pid, error; char comm[16]; char host[64]; };
BPF_TABLE("lru_hash", struct who, struct slot, rows, 4096);
BPF_TABLE("hash", u64, struct asked, under_way, 4096);
BPF_TABLE("percpu_array", u32, struct slot, blank, 1);
BPF_TABLE("array", u32, u64, lost, 1);
BPF_QUEUE(events, struct event, 1024);
"""
    + everything()
    + UNCOUNTED
    + """

int lookup(struct pt_regs *ctx) {
    u64 thread = bpf_get_current_pid_tgid();
    struct asked asked = {.at = bpf_ktime_get_ns()};
    bpf_probe_read_user_str(asked.host, sizeof(asked.host), (void *)PT_REGS_PARM1(ctx));
    if (under_way.update(&thread, &asked))
        not_counted();
    return 0;
}

int answer(struct pt_regs *ctx) {
    u64 thread = bpf_get_current_pid_tgid(), *missed;
    struct asked *asked = under_way.lookup(&thread);
    struct event event = {.error = -(s64)(int)PT_REGS_RC(ctx)};
    struct who key = {};
    struct slot *slot, *zero, *all = sum_of_all();
    u32 first = 0;
    if (!asked)
        return 0;
    event.ns = bpf_ktime_get_ns() - asked->at;
    __builtin_memcpy(event.host, asked->host, 64);
    __builtin_memcpy(key.host, asked->host, 64);
    under_way.delete(&thread);
    event.pid = key.pid = this_pid();
    this_name(event.comm);
    __builtin_memcpy(key.comm, event.comm, 16);
    slot = rows.lookup(&key);
    if (!slot && (zero = blank.lookup(&first))) {
        rows.insert(&key, zero);
        slot = rows.lookup(&key);
    }
    u64 bucket = bucket_of(event.ns, 40);
    TALLY(slot, all, lookups, 1);
    TALLY(slot, all, total_ns, event.ns);
    TALLY(slot, all, latency[bucket], 1);
    if (event.error) {
        TALLY(slot, all, failed, 1);
        if (slot)
            slot->error = event.error;
    }
    if (events.push(&event, 0) && (missed = lost.lookup(&first)))
        ADD(missed, 1);
    return 0;
}
"""
)

# netdb.h of glibc and musl
_ERRORS = {
    0: "-", 1: "BADFLAGS", 2: "NONAME", 3: "AGAIN", 4: "FAIL", 5: "NODATA", 6: "FAMILY",
    7: "SOCKTYPE", 8: "SERVICE", 9: "ADDRFAMILY", 10: "MEMORY", 11: "SYSTEM", 12: "OVERFLOW",
}  # fmt: skip


def _error(number: Any) -> str:
    return _ERRORS.get(number, f"EAI {number}")


def _host(raw: Any) -> str:
    return decode.comm(raw) or "(any)"


def _entry(e: Mapping[str, Any]) -> Row:
    result = _error(e["error"]) if e["error"] else "found"
    return (e["pid"], decode.comm(e["comm"]), _host(e["host"]), result, e["ns"])


_PROGRAMS = (Probed("lookup", "getaddrinfo"), Probed("answer", "getaddrinfo", returns=True))
_PID = "process that asked"
_UNDER_WAY = {"under_way": thread_of}

HOOK = Hook(
    name="dns",
    title="Name look-ups",
    answers="Which names processes look up, how long it takes, and how it fails.",
    columns=(
        *columns.process(_PID),
        Column(
            "host", "Host", kind=Kind.KEY, field="host", decode=_host, width=32,
            help="what was looked up; its first 63 bytes",
        ),
        Column("lookups", "Look-ups", Unit.COUNT, Kind.COUNTER, "lookups", help="that returned"),
        Column("failed", "Failed", Unit.COUNT, Kind.COUNTER, "failed", help="without an answer"),
        Column(
            "error", "Error", field="error", decode=_error, width=10,
            help="how the latest that failed did (EAI_...)",
        ),
        *latency("lookups", "time to answer"),
    ),
    ladder=(
        Rung(
            "uprobe",
            "Linux 4.20, CONFIG_UPROBES, CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN",
            following(logged(_entry, under_way=_UNDER_WAY), {LIBC: _PROGRAMS}),
            source=_SOURCE,
            programs=(
                Program("answer", Uretprobe(own_libc(), "getaddrinfo")),
                Program("lookup", Uprobe(own_libc(), "getaddrinfo")),
            ),
        ),
    ),
    order=74,
    on_demand=True,
    log=(
        Column("pid", "Pid", Unit.NUMBER, width=7, help=_PID),
        Column("comm", "Command", width=16, help="its name at that moment"),
        Column("host", "Host", width=32, help="what was looked up"),
        Column("result", "Result", width=10, help="found, or the error (EAI_...)"),
        Column("ns", "Took", Unit.NS, help="from the call to its return"),
    ),
)  # fmt: skip
