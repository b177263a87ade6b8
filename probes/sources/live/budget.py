"""The budget: what all hooks' programs may take of one CPU together, and what happens beyond it.

`decide` is all there is to it, and pure; `spending` measures, and does what it says.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from probes.model import HookId

DEFAULT = 5.0
"""Percent of one CPU."""
WINDOW = 3.0
"""Seconds over which the share is measured before anything is decided, and again after it."""
STEP, MOST = 8, 64
"""A hook that is slowed counts one event in STEP, then one in MOST; then it is detached."""


@dataclass(frozen=True, slots=True)
class Spending:
    """What one hook's programs took of a CPU in the window, in percent.

    one_in: it counts one event in so many. samples: it can be slowed. kept: a person wants it,
    whatever it costs: it is no part of the sum.
    """

    id: HookId
    percent: float
    one_in: int = 1
    samples: bool = False
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """What is done about the hook that takes most. one_in: slowed to that; None: detached."""

    id: HookId
    one_in: int | None
    percent: float
    total: float
    budget: float

    @property
    def why(self) -> str:
        """For the hook's status: what it took, and of what."""
        took = (
            f"its programs took {self.percent:.1f}% of a CPU, all hooks together "
            f"{self.total:.1f}%, and the budget is {self.budget:g}%"
        )
        if self.one_in is None:
            return f"detached to stay within the budget: {took}; to keep it all the same, attach it"
        return f"one event in {self.one_in} is counted, and counts are scaled: {took}"


def decide(spendings: Iterable[Spending], budget: float) -> Cut | None:
    """The hook that takes most is cut, one at a time, while the sum is above the budget.

    So what is dear goes first, and what is cheap stays: no hook is cut for another's share.
    """
    counted = [s for s in spendings if not s.kept]
    total = sum(s.percent for s in counted)
    worst = max(counted, key=lambda s: s.percent, default=None)
    if worst is None or total <= budget:
        return None
    slower = worst.one_in * STEP
    one_in = slower if worst.samples and slower <= MOST else None
    return Cut(worst.id, one_in, worst.percent, total, budget)


def parse(text: str) -> float | None:
    """Percent of one CPU, as "2%", "0.5" or "off" (None). Raises ValueError with a sentence."""
    if text.strip().lower() == "off":
        return None
    try:
        percent = float(text.strip().removesuffix("%"))
    except ValueError:
        percent = -1
    if not 0 < percent <= 10_000:
        raise ValueError(f"{text!r} is no budget: write a share of one CPU, as 2%, or off")
    return percent
