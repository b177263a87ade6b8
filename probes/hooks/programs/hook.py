"""Programs: every BPF program on the host, its owner, attach points and cost."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from time import clock_gettime_ns, monotonic_ns

from probes.foreign import followers, holders
from probes.foreign.holders import Holders, Rarely
from probes.hooks.programs import attach_points
from probes.kernel import bpf, objects
from probes.kernel.objects import KernelProgram, Map, RunCounts
from probes.point import PROGRAM_PREFIX
from probes.toolkit import (
    Hook,
    Opening,
    Reading,
    Rung,
    Unit,
    Value,
    counter,
    derived,
    given,
    key,
    level,
    mean,
    row_from,
)
from probes.units import printable

_BOOTTIME = 7  # CLOCK_BOOTTIME, which a program's load time is told in
OURS, ANOTHERS = "yes", "another ebpftop"
_SHOWN_MAPS = 16


class _KnownPrograms:
    """Programs that are known, and each one's counts when it was first seen."""

    def __init__(self, now: Callable[..., Iterator[tuple[KernelProgram, RunCounts]]]) -> None:
        self._now = now
        self._first: dict[int, tuple[RunCounts, int]] = {}
        self.known: dict[int, KernelProgram] = {}
        self.fresh = True
        self._last: int | None = None

    def read(self) -> list[tuple[KernelProgram, RunCounts, RunCounts, int]]:
        """Return program, counts, counts while watched, and nanoseconds since it is watched."""
        at = monotonic_ns()
        found = list(self._now(self.known))
        known = {program.id: program for program, _ in found}
        self.fresh = known.keys() != self.known.keys()
        self._first = {id: first for id, first in self._first.items() if id in known}
        for program, counts in found:
            if program.id not in self._first:
                # What was loaded since the reading before began at zero, and so does its count.
                first = (counts, at) if self._last is None else (RunCounts(0, 0, 0), self._last)
                self._first[program.id] = first
        self.known, self._last = known, at
        rows = []
        for program, counts in found:
            base, since = self._first[program.id]
            added = RunCounts._make(now - then for now, then in zip(counts, base, strict=True))
            rows.append((program, counts, added, at - since))
        return rows


def _open(opening: Opening) -> Callable[[], Reading]:
    """Keep the kernel's run statistics on while this rung is attached."""
    opening.stack.callback(os.close, bpf.enable_stats())
    seen = _KnownPrograms(objects.programs)
    maps = Rarely(lambda: objects.maps(_map_ids(seen.known.values())))
    at = Rarely(lambda: attach_points.where(seen.known, maps.get(soon=False)))
    held = Rarely(holders.held)
    mine: set[int] = set()

    def read() -> Reading:
        found = seen.read()
        if seen.fresh:
            mine.clear()
            mine.update(objects.own_ids())
        there = maps.get(soon=seen.fresh)
        about = _About(there, at.get(soon=seen.fresh), held.get(soon=seen.fresh), mine)
        return Reading([row_from(opening.hook.stored, about.row(*one)) for one in found])

    read()  # what is dear, before anybody waits for a reading
    return read


def _own(opening: Opening) -> Callable[[], Reading]:
    """Read what is visible without privilege: the programs of this process."""
    seen = _KnownPrograms(objects.own_programs)

    def read() -> Reading:
        found = seen.read()
        mine = {program.id for program, *_ in found}
        about = _About({}, {}, Holders({}, {}), mine)
        return Reading([row_from(opening.hook.stored, about.row(*one)) for one in found])

    return read


def _map_ids(programs: Iterable[KernelProgram]) -> set[int]:
    return {id for program in programs for id in program.maps}


class _About:
    """Facts about programs besides their counts."""

    def __init__(
        self, maps: Mapping[int, Map], at: attach_points.Where, held: Holders, mine: set[int]
    ) -> None:
        self._maps, self._at, self._held, self._mine = maps, at, held, mine
        self._boot = clock_gettime_ns(_BOOTTIME)

    def row(
        self, program: KernelProgram, counts: RunCounts, added: RunCounts, watched: int
    ) -> Mapping[str, Value]:
        maps = [self._maps[id] for id in program.maps if id in self._maps]
        memory = [m.memory for m in maps]
        where = (*self._at.get(program.id, ()), *self._held.events.get(program.id, ()))
        return {
            "id": program.id,
            "type": program.type,
            "name": printable(program.name),
            "tag": program.tag,
            "uid": program.uid,
            "age": max(self._boot - program.loaded, 0),
            "attached_to": ", ".join(dict.fromkeys(where)),
            "held_by": ", ".join(self._held.by.get(program.id, ())),
            "ours": self._ours(program),
            "maps": _maps(maps, len(program.maps)),
            "map_memory": None if None in memory else sum(m or 0 for m in memory),
            "memory": program.memory,
            "jited": program.jited,
            "instructions": program.instructions,
            "runs": counts.runs,
            "missed": counts.missed,
            "run_ns": added.run_ns,
            "watched_runs": added.runs,
            "watched_ns": watched,
        }

    def _ours(self, program: KernelProgram) -> str:
        if program.id in self._mine:
            return OURS if program.name.startswith(PROGRAM_PREFIX) else ""
        return ANOTHERS if program.name.startswith(PROGRAM_PREFIX) else ""


def _maps(maps: list[Map], there: int) -> str:
    shown = [f"{printable(m.name) or '-'}#{m.id} {m.type} {m.max_entries}" for m in maps]
    more = there - _SHOWN_MAPS
    return ", ".join(shown[:_SHOWN_MAPS] + ([f"and {more} more"] if more > 0 else []))


def _share(added: Mapping[str, Value]) -> Value:
    """Return the time that it ran, of the time that it was watched, as a percentage of one CPU."""
    ran, watched = added["run_ns"], added["watched_ns"]
    if not isinstance(ran, int | float) or not isinstance(watched, int | float) or not watched:
        return None
    return float(ran / watched * 100)


HOOK = Hook(
    name="programs",
    title="Programs",
    question=(
        "Which BPF programs exist, whose they are, where they are attached, and what each costs."
    ),
    columns=given(
        key("id", "Id", "program id, as bpftool shows it", Unit.NUMBER, width=6),
        level("type", "Type", "enum bpf_prog_type, as bpftool names it", width=16),
        level("name", "Name", "full name from its BTF; without BTF, 15 characters", width=20),
        level("tag", "Tag", "hash of the program's instructions", width=16),
        level("uid", "Uid", "user who loaded the program", Unit.NUMBER, width=6),
        level("age", "Age", "time since it was loaded", Unit.NS, width=7),
        level("attached_to", "Attached to", "every attach point that is known", width=24),
        level("held_by", "Held by", "processes with their pids, and pins in bpffs", width=20),
        level("ours", "Ours", f"{OURS}: loaded by this process; {ANOTHERS}; or nothing", width=5),
        level("maps", "Maps", "name#id, type and size of its maps", width=20),
        level(
            "map_memory",
            "Maps' mem",
            "memory of its maps; a shared map counts for each program",
            Unit.BYTES,
        ),
        level("memory", "Memory", "memory of the program itself", Unit.BYTES),
        level(
            "jited", "Jited", "size of its machine code; 0: interpreted, or not known", Unit.BYTES
        ),
        level("instructions", "Insns", "instructions after the verifier", Unit.NUMBER),
        counter("runs", "Runs", "runs since it was loaded, while counted"),
        counter("missed", "Missed", "runs skipped, as it was running already"),
        counter("run_ns", "Ran", "time spent in the program while watched", Unit.NS, hidden=True),
        counter("watched_runs", "Seen", "runs while watched", hidden=True),
        counter("watched_ns", "Watched", "time watched so far", Unit.NS, hidden=True),
        derived(
            "ns_per_run",
            "ns/run",
            "mean time of a run, last 10 s",
            Unit.NS,
            mean("run_ns", "watched_runs"),
        ),
        derived("cpu_percent", "CPU", "share of one CPU, last 10 s", Unit.PERCENT, _share),
    ),
    ladder=(
        Rung("ids", "Linux 5.8, CAP_SYS_ADMIN", _open, precheck=followers.uncountable),
        Rung("own", "nothing: the programs of ebpftop itself", _own),
    ),
    order=75,
    rows_go=True,
    on_demand=True,
)
