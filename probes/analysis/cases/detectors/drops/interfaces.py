"""Names of the interfaces at which packets are lost, and what other namespaces receive."""

from __future__ import annotations

from collections.abc import Iterator

from probes.analysis.cases.claim import ClaimedRow
from probes.analysis.droppers import ELSEWHERE
from probes.analysis.facts import Facts
from probes.analysis.freed import NOWHERE
from probes.analysis.many import rows_of
from probes.analysis.since_boot import COUNTERS
from probes.analysis.snapshot_row import SnapshotRow
from probes.units import DASH

NAMESPACES = "namespaces"
"""The hook that counts what comes to other network namespaces, and what leaves them."""
_DOWN = frozenset({"down", "lowdown", "gone", "dormant"})


def is_down(link: SnapshotRow) -> bool:
    """Return whether an interface sends nothing."""
    return link.stored["state"] in _DOWN


class Links:
    """Interfaces by name; other network namespaces by number."""

    def __init__(self, facts: Facts) -> None:
        self._rows = {str(row.stored["interface"]): row for row in rows_of(facts, "interfaces")}
        self._facts = facts
        self._namespaces = {str(row.stored["netns"]): row for row in rows_of(facts, NAMESPACES)}

    def get(self, name: str) -> SnapshotRow | None:
        return self._rows.get(name)

    def namespace(self, netns: str) -> SnapshotRow | None:
        """Return what a network namespace receives and sends; None: it is not known."""
        return self._namespaces.get(netns)

    def rows(self, name: str) -> Iterator[ClaimedRow]:
        """Yield the row of the pane that an interface is shown in."""
        if (row := self._rows.get(name)) is not None:
            yield ClaimedRow("interfaces", row.key)
        else:
            yield ClaimedRow("interfaces", (ELSEWHERE, NOWHERE if name == DASH else name))

    def received(self) -> float:
        """Return what all of them receive a second."""
        return sum([row.rate("rx_packets") for row in self._rows.values()])

    def counted(self, *names: str) -> float:
        """Return what kernel counters of this namespace grow by a second."""
        rows = rows_of(self._facts, COUNTERS)
        return sum([row.rate("events") for row in rows if row.stored["counter"] in names])

    def down(self, name: str) -> bool:
        row = self._rows.get(name)
        return row is not None and is_down(row)
