"""The budget: what all hooks' programs may take of one CPU together, and what happens beyond it.

`Ledger.decide` is the whole rule, and pure; `spending` measures, and carries it out. Beyond the
budget hooks are slowed first; only where that is not enough for two windows is one detached. When
it is quiet again, what was cut is tried again, each time after a longer pause.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from probes.model import HookId
from probes.units import quoted

DEFAULT = 5.0
"""Percent of one CPU."""
WINDOW = 3.0
"""Seconds over which the share is measured before anything is decided, and again after it."""
ONE_IN_STEP, MAX_ONE_IN = 8, 64
"""A hook that is slowed counts one event in ONE_IN_STEP, then one in MAX_ONE_IN."""
WORTH = 0.1
"""Share of the budget from which on it is worth slowing a hook: less would save nothing."""
QUIET = 0.5
"""Share of the budget below which what was cut may be tried again."""
PAUSE, LONGEST_PAUSE = 15.0, 600.0
"""Seconds until what was cut is tried again; doubled each time that it is cut again."""


@dataclass(frozen=True, slots=True)
class Spending:
    """CPU share of one hook's programs in the window, in percent.

    one_in: it counts one event in so many. samples: it can be slowed. kept: the user wants it,
    whatever it costs: it is no part of the sum.
    """

    id: HookId
    percent: float
    one_in: int = 1
    samples: bool = False
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Cutback:
    """A measure against a hook that takes much. one_in: slowed to that; None: detached."""

    id: HookId
    one_in: int | None
    percent: float
    total: float
    budget: float

    @property
    def why(self) -> str:
        """The reason for the hook's status: its share, and of what."""
        took = (
            f"its programs took {self.percent:.1f}% of a CPU, all hooks together "
            f"{self.total:.1f}%, and the budget is {self.budget:g}%"
        )
        if self.one_in is None:
            return (
                f"detached to stay within the budget: {took}; tried again when it is quiet "
                "(attach it to keep it)"
            )
        return f"one event in {self.one_in} is counted, and counts are scaled: {took}"


@dataclass(frozen=True, slots=True)
class BudgetRetry:
    """Permission for a cut hook to count more again. one_in: one event in so many; 1: all."""

    id: HookId
    one_in: int
    why: str


@dataclass(frozen=True, slots=True)
class _CutHook:
    """A hook that was cut.

    one_in: as it counts now, None: it is detached. samples: it can be slowed. again: when it may be
    tried again (monotonic seconds). pause: what it waits for that. tried: it has been tried again,
    and not been cut since.
    """

    one_in: int | None
    samples: bool
    again: float
    pause: float
    tried: bool = False


class Ledger:
    """The cuts made for a budget (percent of one CPU), and when each is tried again."""

    def __init__(self, budget: float) -> None:
        self._budget = budget
        self._held: dict[HookId, _CutHook] = {}
        self._windows = 0
        "Windows in a row above the budget."

    def decide(
        self, spendings: Iterable[Spending], now: float, cut: Collection[HookId]
    ) -> Cutback | BudgetRetry | None:
        """Decide at most one measure for a window, so that it is measured before the next.

        now: monotonic seconds. cut: what is still cut; the user may have attached it, or not want
        it any more.
        """
        counted = [s for s in spendings if not s.kept]
        total = sum(s.percent for s in counted)
        self._held = {id: held for id, held in self._held.items() if id in cut or held.one_in == 1}
        if total > self._budget:
            self._windows += 1
            return self._cut(counted, total, now)
        self._windows = 0
        return self._retry(now) if total <= self._budget * QUIET else None

    def _cut(self, counted: list[Spending], total: float, now: float) -> Cutback | None:
        slower = [
            s
            for s in counted
            if s.samples
            and s.one_in * ONE_IN_STEP <= MAX_ONE_IN
            and s.percent >= self._budget * WORTH
        ]
        if slower:
            worst = max(slower, key=lambda s: s.percent)
            return self._hold(worst, worst.one_in * ONE_IN_STEP, total, now)
        if self._windows < 2:
            return None  # it may be over with the next
        return self._hold(_dearest(counted), None, total, now)

    def _hold(self, one: Spending, one_in: int | None, total: float, now: float) -> Cutback:
        done = Cutback(one.id, one_in, one.percent, total, self._budget)
        before = self._held.get(one.id)
        pause = PAUSE
        if before is not None:
            pause = min(before.pause * 2, LONGEST_PAUSE) if before.tried else before.pause
        self._held[one.id] = _CutHook(one_in, one.samples, now + pause, pause)
        return done

    def _retry(self, now: float) -> BudgetRetry | None:
        due = {id: h for id, h in self._held.items() if h.again <= now}
        for id in [id for id, held in due.items() if held.one_in == 1]:
            del self._held[id], due[id]  # it has been quiet for a whole pause since it came back
        if not due:
            return None
        id, held = min(due.items(), key=lambda item: item[1].again)
        if held.one_in is None:
            one_in = MAX_ONE_IN if held.samples else 1
        else:
            one_in = max(held.one_in // ONE_IN_STEP, 1)
        self._held[id] = replace(held, one_in=one_in, again=now + held.pause, tried=True)
        why = (
            f"one event in {one_in} is counted, and counts are scaled; all events again when it "
            "is quiet"
        )
        return BudgetRetry(id, one_in, why if one_in > 1 else "")


def _dearest(counted: list[Spending]) -> Spending:
    """Return the dearest target of the dearest hook.

    A hook on many interfaces counts as a whole.
    """
    by_hook: dict[str, float] = {}
    for s in counted:
        by_hook[s.id.hook] = by_hook.get(s.id.hook, 0.0) + s.percent
    return max(counted, key=lambda s: (by_hook[s.id.hook], s.percent))


def parse(text: str) -> float | None:
    """Return percent of one CPU, from "2%", "0.5" or "off" (None).

    Raises ValueError with a sentence.
    """
    if text.strip().lower() == "off":
        return None
    try:
        percent = float(text.strip().removesuffix("%"))
    except ValueError:
        percent = -1
    if not 0 < percent <= 10_000:
        raise ValueError(
            f"{quoted(text)} is not a budget: write a share of one CPU, such as 2%, or off"
        )
    return percent
