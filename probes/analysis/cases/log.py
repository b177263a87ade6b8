"""The cases of the last minutes: since when, how much at most, whether they go on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from probes.analysis.cases.finding import Finding, Progress
from probes.analysis.cases.joined import Case
from probes.analysis.facts import Facts

HOLD = 10.0
"""Seconds that a case has to be away to be over."""
KEPT, MOST_KEPT = 900.0, 512
"""Seconds after which a case that is over is forgotten; cases kept, at most."""
Ordinary = Callable[[Case], bool]
"""Tells whether somebody said that a case is ordinary here."""


@dataclass(slots=True)
class _Spell:
    """A time in which a case went on. begin, seen: monotonic seconds, of the first and last time.

    since: Unix seconds, None: from the first reading on. until: Unix seconds of `seen`.
    """

    case: Case
    begin: float
    seen: float
    since: float | None
    watched: float
    until: float
    peak: float


class CaseLog:
    """Remembers cases from one moment to the next, and answers for earlier ones, too.

    cases: tells those of a moment, the gravest first.
    """

    def __init__(self, cases: Callable[[Facts], Sequence[Case]]) -> None:
        self._cases = cases
        self._spells: dict[str, list[_Spell]] = {}
        self._first: tuple[float, float] | None = None

    def take(self, facts: Facts) -> None:
        """Take note of what is wrong at this moment, which is later than those before."""
        if self._first is None:
            self._first = facts.time, facts.wall
        for case in self._cases(facts):
            self._note(case, facts)
        self._forget(facts.time)

    def _note(self, case: Case, facts: Facts) -> None:
        spells = self._spells.setdefault(case.head.id, [])
        if spells and facts.time - spells[-1].seen <= HOLD:
            last = spells[-1]
            last.case, last.seen, last.until = case, facts.time, facts.wall
            last.peak = max(last.peak, case.head.now)
            return
        since, begun = case.since, self._first
        if since is None and begun is not None and facts.time - begun[0] > HOLD:
            since = facts.wall  # it was not so when the watch began
        watched = begun[1] if begun is not None else facts.wall
        now = case.head.now
        spells.append(_Spell(case, facts.time, facts.time, since, watched, facts.wall, now))

    def _forget(self, time: float) -> None:
        if len(self._spells) <= MOST_KEPT and int(time) % 16:
            return
        for id, spells in list(self._spells.items()):
            spells[:] = [spell for spell in spells if time - spell.seen <= KEPT]
            if not spells:
                del self._spells[id]
        while len(self._spells) > MOST_KEPT:
            oldest = min(self._spells, key=lambda id: self._spells[id][-1].seen)
            del self._spells[oldest]

    # -- asked for -----------------------------------------------------------------------------

    def at(self, facts: Facts, ordinary: Ordinary = lambda _: False) -> list[Finding]:
        """Return what is wrong at a moment and what was before, the gravest of now first."""
        there = {case.head.id: case for case in self._cases(facts)}
        found = [self._now(case, facts, ordinary(case)) for case in there.values()]
        found += [
            self._before(spell, facts, ordinary(spell.case))
            for id, spell in self._latest(facts.time)
            if id not in there
        ]
        found.sort(key=lambda f: (f.state is Progress.OVER, f.ordinary, f.state is Progress.EASING))
        return found

    def _latest(self, time: float) -> Iterator[tuple[str, _Spell]]:
        """Yield the last spell of each case that had begun by then, the latest begun first."""
        found = []
        for id, spells in self._spells.items():
            place = bisect_right(spells, time, key=lambda spell: spell.begin) - 1
            if place >= 0 and time - spells[place].seen <= KEPT:
                found.append((id, spells[place]))
        yield from sorted(found, key=lambda one: -one[1].begin)

    def _now(self, case: Case, facts: Facts, ordinary: bool) -> Finding:
        spell = self._spell_at(case.head.id, facts.time)
        now, begun = case.head.now, self._first
        if spell is None:
            watched = begun[1] if begun is not None else facts.wall
            since = case.since
            if since is None and begun is not None and facts.time - begun[0] > HOLD:
                since = facts.wall
            return Finding(case, Progress.NOW, since, watched, None, now, now, ordinary)
        peak = max(spell.peak, now) if facts.ticks is None else now
        return Finding(case, Progress.NOW, spell.since, spell.watched, None, now, peak, ordinary)

    def _spell_at(self, id: str, time: float) -> _Spell | None:
        for spell in reversed(self._spells.get(id, ())):
            if spell.begin <= time <= spell.seen + HOLD:
                return spell
        return None

    def _before(self, spell: _Spell, facts: Facts, ordinary: bool) -> Finding:
        over = facts.time - spell.seen > HOLD
        state = Progress.OVER if over else Progress.EASING
        head = spell.case.head
        now = None
        if head.figure is not None and not over:
            values = facts.series(head.figure, head.key, 1)
            now = values[-1] if values else None
        return Finding(
            spell.case, state, spell.since, spell.watched, spell.until, now, spell.peak, ordinary
        )
