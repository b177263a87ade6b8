"""Claims with names: the container and unit of who takes part, the network namespace by name.

Claims are made, joined and kept by numbers, which do not change; names come last, from the columns
of the rows that were read, so that a recording has those of its moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from probes.analysis.cases.claim import Claim, Evidence, Where, Who
from probes.analysis.facts import Facts
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot import Snapshot
from probes.arrays import np
from probes.columns.cells import NumberCells
from probes.model import Value

_OWNER = ("container", "unit")


def with_names(facts: Facts, claim: Claim) -> Claim:
    """Return the claim with the names that its hooks' rows know."""
    who = tuple([_with_owner(facts, claim, one) for one in claim.who])
    where = claim.where
    name = _namespace(facts, where)
    if not name:
        return claim if who == claim.who else replace(claim, who=who)
    number, called = f"netns {where.netns}", named(name)

    def said(text: str) -> str:
        return text.replace(number, called)

    return replace(
        claim,
        who=who,
        where=where._replace(netns_name=name),
        what=said(claim.what),
        evidence=tuple([Evidence(e.hook, said(e.text), e.value) for e in claim.evidence]),
        next=tuple(map(said, claim.next)),
    )


def named(namespace: str) -> str:
    """Return "netns web"; of one that has no name "netns of nginx[811]", as it is."""
    return namespace if namespace.startswith("netns of ") else f"netns {namespace}"


def _namespace(facts: Facts, where: Where) -> str:
    if not where.netns.isdecimal():
        return ""
    found = _found(facts.of("drops"), "netns", int(where.netns), ("netns_name",))
    return str(found[0] or "") if found else ""


def _with_owner(facts: Facts, claim: Claim, who: Who) -> Who:
    """Return who with container and unit, from the claim's own hooks before any other."""
    if not who.pid:
        return who
    mine = {row.hook: None for row in claim.rows}
    hooks = dict.fromkeys((*mine, *(id.hook for id in facts.snapshots)))
    snapshots = (s for hook in hooks for s in facts.of(hook) if _OWNER[0] in s.hook.places.names)
    container, unit = _found(snapshots, "pid", who.pid, _OWNER) or (None, None)
    return who._replace(
        container=container if isinstance(container, str) else None,
        unit=unit if isinstance(unit, str) else None,
    )


def _found(
    snapshots: Iterable[Snapshot], column: str, number: int, wanted: tuple[str, ...]
) -> list[Value]:
    """Return values of the first row that has a number in a column, and any of them."""
    for snapshot in snapshots:
        rows = snapshot.rows
        if isinstance(rows, ManyRows):
            found = _in_many(rows, column, number, wanted)
        else:
            row = next((r for r in rows if r.stored.get(column) == number), None)
            found = [] if row is None else [row.stored.get(name) for name in wanted]
        if any(found):
            return found
    return []


def _in_many(rows: ManyRows, column: str, number: int, wanted: tuple[str, ...]) -> list[Value]:
    cells = rows.cells(column)
    if not isinstance(cells, NumberCells):
        return []
    places = np.flatnonzero(cells.flags() & (cells.raw == number))
    return [rows.cells(name).value(int(places[0])) for name in wanted] if len(places) else []
