"""A finding: a case with its time, as users and machines are told of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from probes.analysis.cases.claim import Gravity
from probes.analysis.cases.joined import Case


class Progress(StrEnum):
    """The state of a case: it goes on, eases, or is over."""

    NOW = "now"
    EASING = "easing"
    """No longer the case, but it was a moment ago, and may come back."""
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Finding:
    """One case as it is, or was last. since, until: Unix seconds.

    since None: it was so when the watch began; watched: since when that was. until None: it goes
    on. now: as `Claim.now`, at this moment, whatever it was before. peak: the greatest of it.
    ordinary: somebody said that this is ordinary here.
    """

    case: Case
    state: Progress
    since: float | None
    watched: float
    until: float | None
    now: float | None
    peak: float
    ordinary: bool = False

    @property
    def id(self) -> str:
        return self.case.head.id

    @property
    def severity(self) -> Gravity:
        return self.case.severity

    @property
    def wrong(self) -> bool:
        """Whether the verdict speaks of it."""
        return self.state is not Progress.OVER and not self.ordinary

    @property
    def alarming(self) -> bool:
        """Whether it is an alarm of this moment."""
        return self.wrong and self.severity is Gravity.ALARM and self.state is Progress.NOW

    @property
    def usual(self) -> float | None:
        return self.case.head.usual

    @property
    def times(self) -> float | None:
        """How many times the usual it is now; None if that is 0 or unknown."""
        if not self.usual or self.now is None:
            return None
        return self.now / self.usual
