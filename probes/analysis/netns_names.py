"""Names of network namespaces by number, from the rows of `drops`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from probes.analysis.facts import Facts
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot import Snapshot
from probes.arrays import np
from probes.columns.cells import NumberCells
from probes.model import Value

_HOOKS = ("drops", "namespaces")
_NUMBER = re.compile(r"netns (\d+)")


def netns_names(facts: Facts) -> Mapping[str, str]:
    """Return the names of other network namespaces by their numbers, in digits."""
    return facts.once_read(_names, *_HOOKS)


def called(text: str, names: Mapping[str, str]) -> str:
    """Return "if5 (netns web)" for "if5 (netns 4026532476)"."""
    return _NUMBER.sub(lambda m: named(names[m[1]]) if m[1] in names else m[0], text)


def named(namespace: str) -> str:
    """Return "netns web"; of one that has no name "netns of nginx[811]", as it is."""
    return namespace if namespace.startswith("netns of ") else f"netns {namespace}"


def _names(facts: Facts) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for snapshot in (s for hook in _HOOKS for s in facts.of(hook)):
        numbers, names = _told(snapshot)
        pairs = zip(map(str, numbers), names, strict=True)
        found |= {number: str(name) for number, name in pairs if name}
    return found


def _told(snapshot: Snapshot) -> tuple[Sequence[Value], Sequence[Value]]:
    """Return numbers and names, of many rows each number once."""
    rows = snapshot.rows
    if not isinstance(rows, ManyRows):
        stored = [row.stored for row in rows if row.stored["netns"]]
        return [s["netns"] for s in stored], [s["netns_name"] for s in stored]
    numbers, names = rows.cells("netns"), rows.cells("netns_name")
    if not isinstance(numbers, NumberCells):
        return [], []
    known = np.flatnonzero(numbers.flags())
    found, first = np.unique(numbers.raw[known], return_index=True)
    return found.tolist(), names.at(known[first]).values()
