"""Severity of failing connects: by their share, their number, and how long they wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from probes.analysis.cases.attempts import Attempts
from probes.analysis.cases.detectors.connects.groups import Group
from probes.analysis.cases.detectors.connects.ways import HANGS, WAYS
from probes.arrays import np

if TYPE_CHECKING:
    from probes.analysis.cases.detectors.connects.groups import Flags

SHARE, LITTLE = 0.10, 0.01
"""Shares of the attempts from which failures harm somebody, and from which they are told."""
FLOOR, LEAST = 0.3, 3
"""Failures a second, and failures seen or late attempts, below which nothing is an alarm."""
REFUSED, LASTING = 1.0, 30.0
"""Refusals a second below which they have to last, so many seconds: a service that starts again."""
LONG = 2.5
"""Seconds after which an attempt is lost that was sent twice again, whatever others do."""
TICK_ENOUGH = 8
"""Attempts decided in a second from which that second's share is told, and not the last ten's."""
SCAN, FEW_EACH = 8, 4
"""Places from which it is a scan, if each was tried at most so often in ten seconds."""
LONGEST = 60.0
"""Seconds that late attempts are compared with, at most."""


@dataclass(frozen=True)
class Measured:
    """A group's numbers. failing: a second; late: attempts that hang. ways: a second, of each.

    share: of the attempts; None: those that do well are not counted yet. lasts: for `LASTING`.
    """

    failing: float
    unanswered: float
    share: float | None
    seen: float
    late: int
    pending: int
    oldest: float
    ways: Mapping[str, float]
    lasts: bool = False

    @property
    def harms(self) -> bool:
        if self.share is None:
            return self.late >= LEAST and self.oldest >= LONG
        others = self.failing - self.ways["refused"]
        enough = self.lasts or others >= FLOOR or self.failing >= REFUSED
        much = self.seen >= LEAST and self.failing >= FLOOR and enough
        return self.share >= SHARE and (much or self.late >= LEAST)

    @property
    def way(self) -> str:
        """How most of them end; what is not known to be anything else has had no answer."""
        rates = {**self.ways, HANGS: self.late / max(self.oldest, 1.0)}
        if self.late:
            rates["other"] = 0
        return max(rates, key=rates.__getitem__)


def measure(a: Attempts, group: Group, hung: Flags) -> Measured:
    """Return what is counted of a group: of this second if that tells enough, else of the last.

    hung: rows of which something waits as others did in vain recently.
    """
    bad, all = group.bad, group.all
    seen = float(a.recent("failed")[bad].sum())
    failing = float(a.per_s("failed")[bad].sum())
    answered = float(a.per_s("established")[all].sum())
    begun = float(a.per_s("connects")[bad].sum())
    ways = {way: float(a.per_s(way)[bad].sum()) for way in WAYS}
    if failing + answered < TICK_ENOUGH:
        ways = {way: float(a.recent(way)[bad].sum()) / a.seconds for way in WAYS}
        failing, answered, begun = (
            float(a.recent(name)[rows].sum()) / a.seconds
            for name, rows in (("failed", bad), ("established", all), ("connects", bad))
        )
    late, pending = (int(a.number(name)[bad].sum()) for name in ("late", "pending"))
    again = int(a.number("pending")[bad][hung[bad]].sum())
    oldest = float(a.number("oldest_ns")[bad].max(initial=0)) / 1e9
    waited = late / max(oldest, 1.0)
    late += again
    span = min(max(oldest - 1.0, 1.0), LONGEST) if late else 1.0
    decided = late + (failing + answered) * span
    share = (late + failing * span) / decided if decided else 0.0
    known = a.snapshot.interval is not None
    hang = max(begun - failing - answered, waited) if late else 0.0
    return Measured(
        failing, failing + hang, share if known else None, seen, late, pending, oldest, ways
    )


def scans(a: Attempts, group: Group, m: Measured) -> bool:
    """Whether a process tries many places, each a few times: it finds out who is there."""
    if group.number < SCAN or (m.seen + m.late) / group.number > FEW_EACH:
        return False
    worked = np.count_nonzero(a.number("established")[group.bad] > 0)
    return bool(worked * 2 < len(group.bad))
