"""Holders of programs that sit at interfaces: who put them there, or that nobody has them.

Looked for in a thread, when a program is new, when a holder has gone, and once a minute: reading
every file descriptor of a host takes long.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from time import monotonic, thread_time

from probes.foreign.holders import LINKS, PROGRAM, WALK_SECONDS, pins, process_name
from probes.foreign.names import ProgramNames
from probes.kernel import capabilities, procfs
from probes.kernel.objects import fd_field
from probes.kernel.threads import Task
from probes.point import PROGRAM_PREFIX

NOBODY = "nobody"
"""No process holds it and it is not pinned: what it is attached to holds it."""
MOST_HOLDERS = 4
"""Holders of a program that are named, at most; the others are counted."""
FIRST_WAIT = 0.2
"""Seconds for which the first look is waited for."""
_PIN = "pin "


class ProgramHolders:
    """Holders of programs, as they were when looked for last."""

    REST, AGE = 50.0, 60.0
    """Rest, as a multiple of the last look's CPU time; seconds after which it is done again."""

    def __init__(self) -> None:
        self._found: Mapping[int, tuple[str, ...]] = {}
        self._asked: frozenset[int] = frozenset()
        self._names = ProgramNames()
        self._task: Task | None = None
        self._next = self._old = 0.0

    def keep(self, programs: Collection[int]) -> None:
        """Begin a look if one is due. programs: ids of all that are asked for."""
        wanted, now = frozenset(programs), monotonic()
        if not wanted or now < self._next or (self._task is not None and self._task.alive):
            return
        if wanted <= self._asked and now < self._old and not self._gone():
            return
        first = self._task is None
        with suppress(RuntimeError):  # no thread left: the next reading tries again
            # A new one each time: it has the capabilities that this one has by now.
            self._task = Task(lambda: self._look(wanted))
            self._task.join(FIRST_WAIT if first else 0.0)

    def of(self, program: int) -> str | None:
        """Return its holders: "comm(pid)" or "pin PATH" each, or NOBODY; None: not known."""
        found = self._found.get(program)
        if found is None:
            return None
        more = len(found) - MOST_HOLDERS
        shown = [*found[:MOST_HOLDERS], *([f"and {more} more"] if more > 0 else [])]
        return ", ".join(shown) or NOBODY

    def _gone(self) -> bool:
        """Return whether a holder that was named has gone, or has another name now."""
        names = {n for names in self._found.values() for n in names[:MOST_HOLDERS]}
        return any(
            name != process_name(int(name.rpartition("(")[2][:-1]))
            for name in names
            if not name.startswith(_PIN)
        )

    def _look(self, wanted: frozenset[int]) -> None:
        cpu = thread_time()
        with suppress(OSError):  # files are short: what was found before holds until the next look
            self._found = holders(wanted, self._names)
        now = monotonic()
        self._next, self._old = now + self.REST * (thread_time() - cpu), now + self.AGE
        self._asked = wanted


def holders(wanted: Collection[int], names: ProgramNames) -> dict[int, tuple[str, ...]]:
    """Return who holds these programs: those with a link, else those with the program itself.

    Those of which it is not known, as not all processes were looked at, are left out. ebpftop holds
    what it counts, and is not named. Raises OSError where files are short.
    """
    linked: dict[int, list[str]] = {id: [] for id in wanted}
    loaded: dict[int, list[str]] = {id: [] for id in wanted}
    until = monotonic() + WALK_SECONDS
    complete = not capabilities.missing(*capabilities.PROCESSES)
    for pid in procfs.pids():
        if monotonic() > until:
            complete = False
            break
        by_link, by_program = _of_process(pid)
        if any((names[id] or "").startswith(PROGRAM_PREFIX) for id in by_program):
            by_program.clear()  # an ebpftop
        for by, into in ((by_link, linked), (by_program, loaded)):
            for id in by & linked.keys():
                into[id].append(process_name(pid))
    for id, pin in pins():
        if id in linked:
            linked[id].append(pin)
    found = {id: tuple(dict.fromkeys(linked[id] or loaded[id])) for id in linked}
    return {id: names for id, names in found.items() if names or complete}


def _of_process(pid: int) -> tuple[set[int], set[int]]:
    """Return the programs that a process holds by a link, and those that it holds themselves."""
    by_link, by_program = set[int](), set[int]()
    if pid == os.getpid():
        return by_link, by_program
    for fd, kind in procfs.fds(pid):
        if (link := kind in LINKS) or kind == PROGRAM:
            program = fd_field(f"/proc/{pid}/fdinfo/{fd}", "prog_id")
            if program:
                (by_link if link else by_program).add(program)
    return by_link, by_program
