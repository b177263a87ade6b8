"""Cases that the user called ordinary here: counted, but no alarm."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from probes.analysis.cases.claim import Who
from probes.analysis.cases.joined import Case
from probes.analysis.cases.log import Ordinary

MOST_ORDINARY = 100
"""Entries, at most."""
ANY = "*"


class OrdinaryEntry(NamedTuple):
    """A thing that is ordinary here.

    what: a case's id, in which one "*" stands for anything. who: names of processes, programs and
    rules, without pids and ids; others that take part make it a case again; empty: anybody. until:
    Unix seconds, None: for good.
    """

    what: str
    who: tuple[str, ...] = ()
    until: float | None = None

    def holds(self, case: Case, wall: float) -> bool:
        """Tell whether it says that of a case. wall: Unix seconds."""
        if self.until is not None and wall >= self.until:
            return False
        return matches(self.what, case.head.id) and (not self.who or self._all_of(case))

    def _all_of(self, case: Case) -> bool:
        return all(stable(who) in self.who for who in case.who)


def matches(what: str, id: str) -> bool:
    """Tell whether an id is as written, where the first "*" stands for anything."""
    begin, star, end = what.partition(ANY)
    if not star:
        return id == what
    return len(id) >= len(begin) + len(end) and id.startswith(begin) and id.endswith(end)


def stable(who: Who) -> str:
    """Return a name that is the same after a restart: no pid, no program's id."""
    if who.program is not None:
        return who.program.rpartition("#")[0] or who.program
    return who.rule if who.rule is not None else who.comm or ""


def entry_of(case: Case, until: float | None = None) -> OrdinaryEntry:
    """Return what says that this case is ordinary, with those who take part in it now."""
    names = dict.fromkeys(filter(None, map(stable, case.who)))
    return OrdinaryEntry(case.head.id, tuple(names), until)


def ordinary(entries: Iterable[OrdinaryEntry], wall: float) -> Ordinary:
    """Return what tells which cases are ordinary at a moment. wall: Unix seconds."""
    kept = tuple(entries)
    return lambda case: any(entry.holds(case, wall) for entry in kept)
