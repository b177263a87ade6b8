"""What the kernel frees at one interface, by reason and place: the ports of each summed up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from probes.analysis.drop_stages import function_of
from probes.analysis.freed import DropKind, kind_of, kinds_of, place_of
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import np

MOST_NAMED = 8
"""Rows that are named of one reason, those of the greatest rates."""


class ReasonHere(NamedTuple):
    """A reason and a place at which the kernel frees packets of an interface.

    rate: packets a second; total: since they are counted; number: of rows, one for each port and
    owner. rows: those with the greatest rates. lost: somebody waited for them; else they are freed
    after normal use.
    """

    reason: str
    function: str
    rate: float
    total: int
    number: int
    rows: Sequence[SnapshotRow]
    lost: bool

    @property
    def why(self) -> str:
        """As the packet path names it."""
        return f"{self.reason} at {self.function}" if self.reason != "-" else self.function


_Found = dict[tuple[str, str, bool], list[SnapshotRow]]


def reasons_at(rows: Sequence[SnapshotRow], interface: str) -> list[ReasonHere]:
    """Return the reasons of an interface, those of the greatest rates first."""
    found = _of_many(rows, interface) if isinstance(rows, ManyRows) else _of_few(rows, interface)
    return sorted(found, key=lambda one: (-one.rate, -one.total))


def _of_few(rows: Sequence[SnapshotRow], interface: str) -> list[ReasonHere]:
    found: _Found = {}
    for row in rows:
        kind = kind_of(row)
        if place_of(row.stored["interface"]) == interface and (kind.lost or kind.ordinary):
            function = function_of(str(row.stored["location"]))
            found.setdefault((str(row.stored["reason"]), function, kind.lost), []).append(row)
    return [
        ReasonHere(
            reason,
            function,
            sum([row.rate("packets") for row in some]),
            sum([int(row.number("packets")) for row in some]),
            len(some),
            sorted(some, key=lambda row: -row.rate("packets"))[:MOST_NAMED],
            lost,
        )
        for (reason, function, lost), some in found.items()
    ]


def _of_many(rows: ManyRows, interface: str) -> list[ReasonHere]:
    group, kinds = rows.once(kinds_of)
    numbers: dict[tuple[str, str, bool], int] = {}
    into = [
        numbers.setdefault((one.reason, one.place, one.kind.lost), len(numbers))
        if place_of(one.interface) == interface and _counts(one.kind)
        else -1
        for one in kinds
    ]
    target = np.array(into, np.intp)[group]
    here = np.flatnonzero(target >= 0)
    rates, totals = rows.per_s("packets"), rows.numbers("packets")
    of = target[here]
    sums, all_sums = (np.bincount(of, some[here], len(numbers)) for some in (rates, totals))
    counts = np.bincount(of, minlength=len(numbers))
    order = here[np.argsort(-rates[here], kind="stable")]
    return [
        ReasonHere(
            *key[:2],
            float(sums[n]),
            int(all_sums[n]),
            int(counts[n]),
            [rows[place] for place in order[target[order] == n][:MOST_NAMED].tolist()],
            key[2],
        )
        for key, n in numbers.items()
    ]


def _counts(kind: DropKind) -> bool:
    return kind.lost or kind.ordinary
