"""Connects that fail, hang, take long, or find no local port: by destination, or by who scans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from probes.analysis.cases.attempts import Attempts
from probes.analysis.cases.claim import Claim
from probes.analysis.cases.detector import MOST, Detector
from probes.analysis.cases.detectors.connects.failing import failing_claims
from probes.analysis.cases.detectors.connects.figures import BY_PLACE, FAILING, HOOK, SLOW
from probes.analysis.cases.detectors.connects.groups import ClaimedPlaces
from probes.analysis.cases.detectors.connects.slow import SLOW_NS, slow_claims
from probes.analysis.cases.detectors.connects.ties import errnos_once
from probes.analysis.facts import Facts
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class ClaimedConnects(NamedTuple):
    """Claims on connects, the worst first, and the rows that they are about.

    marks: the `Gravity` of each row, 0: nothing; None: of no row.
    """

    claims: Sequence[Claim] = ()
    marks: NDArray[np.uint8] | None = None


def claimed(facts: Facts) -> ClaimedConnects:
    """Return what is wrong at a moment."""
    return facts.once_read(_found, HOOK, "drops", "tcp-rtt")


def _claims(facts: Facts) -> Sequence[Claim]:
    return claimed(facts).claims


def _found(facts: Facts) -> ClaimedConnects:
    snapshots = facts.of(HOOK)
    if len(snapshots) != 1 or not _may_be(facts, snapshots[0].rows):
        return ClaimedConnects()
    attempts = Attempts(facts, snapshots[0])
    failing = sorted(failing_claims(facts, attempts), key=_gravest, reverse=True)
    told = {_where(claim) for claim, _ in failing}
    slow = [one for one in slow_claims(facts, attempts) if _where(one[0]) not in told]
    marks = np.zeros(len(attempts), "u1")
    for claim, rows in (*failing, *slow):
        marks[rows] = np.maximum(marks[rows], int(claim.severity))
    return ClaimedConnects(errnos_once([claim for claim, _ in (*failing, *slow)])[:MOST], marks)


def _where(claim: Claim) -> tuple[str | None, int | None]:
    return claim.where.address, claim.where.port


def _may_be(facts: Facts, rows: Sequence[SnapshotRow]) -> bool:
    """Whether it is worth looking at: a few calm rows need no arrays."""
    if isinstance(rows, ManyRows) or facts.past:
        return bool(rows)
    if facts.history.unusual(BY_PLACE) or facts.history.unusual(SLOW):
        return True
    for row in rows:
        if row.rates["failed"] or row.stored["pending"] or row.number("mean_ns") >= SLOW_NS:
            return True
    return False


def _gravest(found: ClaimedPlaces) -> tuple[float, ...]:
    claim, _ = found
    return claim.severity, claim.struck, claim.now


DETECTOR = Detector("connects", (HOOK,), _claims, (BY_PLACE, FAILING, SLOW))
