"""Groups of failures that are one claim: a destination's, or those of a process that tries many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from probes.analysis.cases.attempts import Attempts
from probes.analysis.cases.claim import Claim, Where
from probes.analysis.cases.detector import MOST
from probes.arrays import np
from probes.model import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]
    Places = NDArray[np.intp]

PORTS, ADDRESSES = 3, 8
"""Ports of one address, and addresses at one port, from which a process's failures are one row."""
ROWS = 8
"""Rows of a group that are claimed and asked for details."""
CALLERS = 8
"""Processes that are named."""
Destination = tuple[Value, Value]
"""A destination: address and port."""
ClaimedPlaces = tuple[Claim, "Places"]
"""A claim, and the places of the rows that it is about."""


@dataclass(frozen=True)
class Group:
    """Failures that are told as one. bad: rows that fail or hang. all: rows of the same attempts.

    address, port: None: several, of which there are `number`.
    """

    bad: Places
    all: Places
    address: Value
    port: Value
    number: int = 1

    @property
    def named(self) -> str:
        if self.port is None:
            return f"{self.address}, {self.number} ports"
        if self.address is None:
            return f"{self.number} addresses, port {self.port}"
        return end(self.address, self.port)


def end(address: Value, port: Value) -> str:
    """Return "10.0.0.5:5432" or "[::1]:80"."""
    return f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"


def whereabouts(address: Value, port: Value, netns: str = "") -> Where:
    """Return a destination as the place of a claim."""
    return Where(
        netns=netns,
        port=port if isinstance(port, int) else None,
        address=None if address is None else str(address),
        call="connect",
    )


def groups(a: Attempts, hung: Flags) -> Iterator[Group]:
    """Yield what fails or hangs: by who tries many ports or addresses, then by destination.

    hung: rows of which something waits where others have waited in vain recently.
    """
    bad = (a.number("late") > 0) | hung
    if a.snapshot.interval is not None:
        bad |= a.recent("failed") > 0
    for by, other, least in ((("comm", "raddr"), "rport", PORTS),
                             (("comm", "rport"), "raddr", ADDRESSES)):  # fmt: skip
        if np.count_nonzero(bad) >= least:
            number = a.groups(*by)
            several = _several(number, a.groups(*by, other), bad, least)
            for one in _worst(a, number, bad & np.isin(number, list(several))):
                mine = number == one
                group = _group(a, mine & bad, mine, several[one])
                ports = other == "rport"
                yield replace(group, port=None) if ports else replace(group, address=None)
            bad &= ~np.isin(number, list(several))
    if not bad.any():
        return
    number = a.by_place
    for one in _worst(a, number, bad):
        yield _group(a, (number == one) & bad, number == one)


def _several(number: Places, both: Places, bad: Flags, least: int) -> dict[int, int]:
    """Return the groups whose bad rows have at least so many different others, and how many."""
    rows = np.flatnonzero(bad)
    _, first = np.unique(both[rows], return_index=True)
    counts = np.bincount(number[rows[first]])
    found = np.flatnonzero(counts >= least)
    return dict(zip(found.tolist(), counts[found].tolist(), strict=True))


def _worst(a: Attempts, number: Places, bad: Flags) -> list[int]:
    """Return the groups with most bad attempts."""
    weights = np.where(bad, _weights(a), 0.0)
    sums = np.bincount(number, weights)
    order: list[int] = np.argsort(-sums, kind="stable")[:MOST].tolist()
    return [one for one in order if sums[one] > 0]


def _weights(a: Attempts) -> NDArray[np.float64]:
    """Return how much is wrong with each row; what has just begun to hang is the least."""
    return a.recent("failed") + a.number("late") + 0.001 * a.number("pending")


def _group(a: Attempts, bad: Flags, all: Flags, number: int = 1) -> Group:
    rows = np.flatnonzero(bad)
    rows = rows[np.argsort(-_weights(a)[rows], kind="stable")]
    address, port = (a.values(name, rows[:1].tolist())[0] for name in ("raddr", "rport"))
    return Group(rows, np.flatnonzero(all), address, port, number)
