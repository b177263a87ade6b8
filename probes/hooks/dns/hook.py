"""DNS: name look-ups by getaddrinfo, as programs request them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from probes.attach.uprobe import Uprobe, Uretprobe
from probes.model import Column, Hook, Kind, Program, Row, Rung
from probes.toolkit import columns, decode
from probes.toolkit.c_files import c_source
from probes.toolkit.columns import latency
from probes.toolkit.counters_c import UNCOUNTED, everything
from probes.toolkit.libraries import LIBC, Probed, following, own_libc
from probes.toolkit.readers import logged, thread_of
from probes.toolkit.who_c import WHO
from probes.units import Unit

_SOURCE = (
    WHO + c_source(__file__, "rows.c") + everything() + UNCOUNTED + c_source(__file__, "lookups.c")
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
        *columns.process(_PID),
        Column(
            "host", "Host", kind=Kind.KEY, field="host", decode=_host, width=32,
            help="name that was looked up; its first 63 bytes",
        ),
        Column(
            "lookups", "Look-ups", Unit.COUNT, Kind.COUNTER, "lookups",
            help="look-ups that returned",
        ),
        Column(
            "failed", "Failed", Unit.COUNT, Kind.COUNTER, "failed",
            help="look-ups without an answer",
        ),
        Column(
            "error", "Error", field="error", decode=_error, width=10,
            help="error of the latest failure (EAI_...)",
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
        Column("comm", "Command", width=16, help="the process's name at that moment"),
        Column("host", "Host", width=32, help="name that was looked up"),
        Column("result", "Result", width=10, help="found, or the error (EAI_...)"),
        Column("ns", "Took", Unit.NS, help="from the call to its return"),
    ),
)  # fmt: skip
