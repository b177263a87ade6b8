"""DNS: name look-ups by getaddrinfo, as programs request them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from probes.toolkit import (
    CGROUP_ID,
    UNCOUNTED,
    WHO,
    Hook,
    Program,
    Row,
    Rung,
    Unit,
    Uprobe,
    Uretprobe,
    c_source,
    counter,
    decode,
    event_log,
    everything,
    given,
    key,
    large_rows,
    latency,
    level,
    logged,
    logged_process,
    owner,
    process,
    thread_of,
)
from probes.toolkit.libraries import LIBC, Probed, following, own_libc

_SOURCE = (
    WHO
    + c_source(__file__, "rows.c")
    + everything()
    + large_rows()
    + event_log(1024)
    + UNCOUNTED
    + c_source(__file__, "lookups.c")
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
    question="Which names processes look up, how long it takes, and how it fails.",
    columns=(
        *process(_PID),
        key("host", "Host", "name that was looked up; its first 63 bytes", decode=_host, width=32),
        counter("lookups", "Look-ups", "look-ups that returned"),
        counter("failed", "Failed", "look-ups without an answer"),
        level("error", "Error", "error of the latest failure (EAI_...)", decode=_error, width=10),
        *latency("lookups", "time to answer"),
        CGROUP_ID,
        *owner("the process"),
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
    log=given(
        *logged_process(_PID),
        level("host", "Host", "name that was looked up", width=32),
        level("result", "Result", "found, or the error (EAI_...)", width=10),
        level("ns", "Took", "from the call to its return", Unit.NS),
        *owner("the process"),
    ),
)
