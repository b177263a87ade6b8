"""Round trips and retransmits that are unusual: of a path, or of one process."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from probes.analysis.cases.claim import Claim
from probes.analysis.cases.detector import MOST, Detector
from probes.analysis.cases.detectors.trips.beside import slow_beside
from probes.analysis.cases.detectors.trips.connections import HOOK, place_of
from probes.analysis.cases.detectors.trips.loss import SENT_AGAIN, loss_claims
from probes.analysis.cases.detectors.trips.path import path_claims
from probes.analysis.cases.detectors.trips.slow import TRIP, slow_trips
from probes.analysis.facts import Facts
from probes.arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Trips(NamedTuple):
    """Connections that are slow, or send again.

    marks: how grave that is of each row in their order, 0 of most: an array if they are columns.
    """

    claims: Sequence[Claim]
    marks: Sequence[int] | NDArray[np.uint8]


def trips(facts: Facts) -> Trips:
    """Return what is wrong with connections, the worst first; computed once for each reading.

    Averages since boot are those of the first reading, and stay.
    """
    return facts.once_read(_judged, HOOK)


def _judged(facts: Facts) -> Trips:
    slow, marks = slow_trips(facts)
    slow += slow_beside(facts, {one.place for one in slow})
    found = [*path_claims(facts, slow), *loss_claims(facts)]
    claims = sorted(found, key=_weight, reverse=True)[:MOST]
    places: dict[Hashable, int] = {one.row.key: one.place for one in slow}
    for claim in claims:
        for row in claim.rows:
            place = places.get(row.key)
            place = place_of(facts, row.key) if place is None else place
            if place is not None:
                marks[place] = max(int(marks[place]), int(claim.severity))
    return Trips(claims, marks)


def _weight(claim: Claim) -> tuple[int, float]:
    return claim.severity, claim.struck


DETECTOR = Detector("trips", (HOOK,), lambda facts: trips(facts).claims, (TRIP, SENT_AGAIN))
