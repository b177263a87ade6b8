"""Memory: who waits for it, which cgroup is at its limit, and what sockets take of theirs."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from pathlib import Path

from probes.kernel import capabilities, cgroups, pressure, procfs, sysctl
from probes.kernel.pressure import MemoryPressure
from probes.toolkit import (
    Hook,
    Opening,
    Reading,
    Rung,
    Unit,
    Value,
    counter,
    given,
    holder,
    key,
    level,
    owner,
    row_from,
)
from probes.units import printable

HOST = "host"
SOCKETS = {"TCP sockets": ("TCP", "net.ipv4.tcp_mem"), "UDP sockets": ("UDP", "net.ipv4.udp_mem")}
"""Names of their rows, and where what they take and may take is told."""
MOST_CGROUPS, MOST_PIDS = 64, 256
"""Cgroups with a row, and processes of one that are looked at, at most."""
_EVENTS = {"high": "high_events", "max": "max_events", "oom": "oom", "oom_kill": "oom_kill"}
_PAGE = mmap.PAGESIZE
Known = dict[str, Value]


def _open(opening: Opening) -> Callable[[], Reading]:
    columns, groups = opening.hook.stored, _TellingCgroups()

    def read() -> Reading:
        host = _host()
        found = [host, *_sockets(), *groups.read(host["oom_kill"])]
        return Reading([row_from(columns, known) for known in found])

    return read


class _TellingCgroups:
    """Cgroups that wait for memory, or of which processes are killed, from then on."""

    def __init__(self) -> None:
        self._seen: dict[Path, None] = {}
        self._killed: Value = None

    def read(self, killed: Value) -> Iterator[Known]:
        """Yield their rows. killed: processes of the host so far."""
        if killed and killed != self._killed:  # somebody's: they are looked for
            self._seen.update(dict.fromkeys(folder for folder, _ in pressure.killed()))
        self._killed = killed
        there: dict[Path, None] = {}
        for folder, waits in pressure.pressed(self._seen.__contains__):
            if len(there) < MOST_CGROUPS:
                there[folder] = None
                yield _cgroup(folder, waits)
        self._seen = there


def _waiting(waits: MemoryPressure | None) -> Known:
    return {} if waits is None else {"some_ns": waits.some, "full_ns": waits.full}


def _host() -> Known:
    known = _waiting(pressure.of(pressure.HOST))
    memory = pressure.numbers(Path("/proc/meminfo"), "MemTotal", "MemAvailable")
    if len(memory) == 2:
        total, free = memory.values()
        known |= {"used": (total - free) * 1024, "limit": total * 1024}
    killed = pressure.numbers(Path("/proc/vmstat"), "oom_kill")
    return {"where": HOST, **known, "oom_kill": killed.get("oom_kill")}


def _sockets() -> Iterator[Known]:
    """Yield what sockets take of the memory that all of them may take, of the whole host."""
    lines = [line.split() for line in pressure.text_of(Path("/proc/net/sockstat")).splitlines()]
    for name, (protocol, knob) in SOCKETS.items():
        words = next((w for w in lines if w and w[0] == f"{protocol}:"), [])
        if "mem" in words[:-1] and (taken := words[words.index("mem") + 1]).isdigit():
            bounds = [int(n) * _PAGE for n in (sysctl.value(knob) or "").split() if n.isdigit()]
            known: Known = {"where": name, "used": int(taken) * _PAGE}
            if len(bounds) == 3:  # told in the first network namespace only
                known |= {"high": bounds[1], "limit": bounds[2]}
            yield known


def _cgroup(folder: Path, waits: MemoryPressure) -> Known:
    root = cgroups.root()
    name = cgroups.below(root, str(folder)) if root is not None else None
    counted = pressure.numbers(folder / "memory.events", *_EVENTS)
    known: Known = {"where": printable(name or str(folder)), **_waiting(waits)}
    known |= {_EVENTS[name]: n for name, n in counted.items()}
    known |= {
        "used": pressure.number(folder / "memory.current"),
        "high": pressure.number(folder / "memory.high"),
        "limit": pressure.number(folder / "memory.max"),
    }
    if waits.now >= pressure.PRESSED:
        known |= _largest(folder)
    return known


def _largest(folder: Path) -> Known:
    """Return the process with most memory in a cgroup."""
    words = pressure.text_of(folder / "cgroup.procs").split()
    pids = [int(word) for word in words if word.isdigit()][:MOST_PIDS]
    if not pids:
        return {}
    pid = max(pids, key=_resident)
    return {"comm": printable(procfs.comm(pid) or ""), "pid": pid}


def _resident(pid: int) -> int:
    words = pressure.text_of(Path("/proc", str(pid), "statm")).split()
    return int(words[1]) if len(words) > 1 else 0


HOOK = Hook(
    name="memory",
    title="Memory",
    question="Who waits for memory, which cgroup is at its limit, and how much sockets take.",
    columns=given(
        key(
            "where",
            "Where",
            f"{HOST}, a cgroup that waits, or {' or '.join(SOCKETS)}",
            width=24,
        ),
        counter("some_ns", "Waits", "time in which some process waited for memory (PSI)", Unit.NS),
        counter("full_ns", "All wait", "time in which all of them waited", Unit.NS),
        level("used", "Used", "memory in use; of the host: all that is not available", Unit.BYTES),
        level("high", "High", "memory.high: above it the kernel reclaims memory", Unit.BYTES),
        level("limit", "Limit", "most memory that it may use (memory.max)", Unit.BYTES),
        counter("high_events", "At high", "times that it exceeded High"),
        counter("max_events", "At limit", "times that it was about to exceed Limit"),
        counter("oom", "OOM", "times that it ran out of memory"),
        counter("oom_kill", "Killed", "processes that the OOM killer ended"),
        *holder("process with the most memory in a cgroup that waits now", label=False),
        *owner("that process", label=False),
    ),
    ladder=(Rung("procfs", "nothing", _open, from_zero=False),),
    order=76,
    rows_go=True,
    reads_with=capabilities.PROCESSES,
)
