"""Claims with names: the container and unit of who takes part, the network namespace by name.

Claims are made, joined and kept by numbers, which do not change; names come last, from the columns
of the rows that were read, so that a recording has those of its moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from probes.analysis.cases.claim import Claim, Evidence, Who
from probes.analysis.facts import Facts
from probes.analysis.many_rows import ManyRows
from probes.analysis.netns_names import called, netns_names
from probes.analysis.snapshot import Snapshot
from probes.arrays import np
from probes.columns.cells import NumberCells
from probes.model import Value

_OWNER = ("container", "unit")


def with_names(facts: Facts, claim: Claim) -> Claim:
    """Return the claim with the names that its hooks' rows know."""
    who = tuple([_with_owner(facts, claim, one) for one in claim.who])
    where = claim.where
    names = netns_names(facts) if where.netns else {}
    if where.netns not in names:
        return claim if who == claim.who else replace(claim, who=who)
    return replace(
        claim,
        who=who,
        where=where._replace(netns_name=names[where.netns]),
        what=called(claim.what, names),
        evidence=tuple([Evidence(e.hook, called(e.text, names), e.value) for e in claim.evidence]),
        next=tuple([called(text, names) for text in claim.next]),
    )


def _with_owner(facts: Facts, claim: Claim, who: Who) -> Who:
    """Return who with container and unit, from the claim's own hooks before any other."""
    if not who.pid:
        return who
    mine = {row.hook: None for row in claim.rows}
    hooks = dict.fromkeys((*mine, *(id.hook for id in facts.snapshots)))
    snapshots = (s for hook in hooks for s in facts.of(hook) if _OWNER[0] in s.hook.places.names)
    container, unit = _found(snapshots, who.pid) or (None, None)
    return who._replace(
        container=container if isinstance(container, str) else None,
        unit=unit if isinstance(unit, str) else None,
    )


def _found(snapshots: Iterable[Snapshot], pid: int) -> list[Value]:
    """Return container and unit of the first row of a process that has any of them."""
    for snapshot in snapshots:
        rows = snapshot.rows
        if isinstance(rows, ManyRows):
            found = _in_many(rows, pid)
        else:
            row = next((r for r in rows if r.stored.get("pid") == pid), None)
            found = [] if row is None else [row.stored.get(name) for name in _OWNER]
        if any(found):
            return found
    return []


def _in_many(rows: ManyRows, pid: int) -> list[Value]:
    cells = rows.cells("pid")
    if not isinstance(cells, NumberCells):
        return []
    first = np.flatnonzero(cells.flags() & (cells.raw == pid))[:1]
    return [value for name in _OWNER for value in rows.cells(name).at(first).values()]
