"""The cases of the last minutes: since when, how much at most, whether they go on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from probes.analysis.cases.claim import Claim, Gravity
from probes.analysis.cases.finding import Finding, Progress
from probes.analysis.cases.joined import Case
from probes.analysis.facts import Facts
from probes.model import Sample

HOLD = 10.0
"""Seconds that a case has to be away to be over."""
PLACE_KEPT = 3.0
"""Seconds for which a case that eases keeps its place: it may come in bursts."""
MOMENT = 0.25
"""Seconds between two readings below which nothing is said to have ended."""
KEPT, MOST_KEPT = 900.0, 512
"""Seconds after which a case that is over is forgotten; times of cases kept, at most."""
BRIEF = 5.0
"""Seconds of a notice that is worth a word when it is over."""
AT_ONCE = 3.5
"""Seconds of a hook's first readings: what they tell may have been so before."""
_TIDY = 16
"""Seconds between two looks for what is to be forgotten."""
Ordinary = Callable[[Case], bool]
"""Tells whether somebody said that a case is ordinary here."""


@dataclass(slots=True)
class _Spell:
    """A time in which a case went on. begin, seen: monotonic seconds, of the first and last time.

    begun, until: the same in Unix seconds. since: Unix seconds, None: from the first reading on.
    what, severity: of the case when it began; case: as it is now.
    """

    what: str
    severity: Gravity
    case: Case
    begin: float
    begun: float
    seen: float
    since: float | None
    watched: float
    until: float
    peak: float


class Turn(NamedTuple):
    """A case that began, eased, or was over. wall: when, in Unix seconds.

    what, severity: as they were then. seconds: how long it had gone on.
    """

    wall: float
    state: Progress
    what: str
    severity: Gravity
    case: Case
    seconds: float = 0.0


class CaseLog:
    """Remembers cases from one moment to the next, and answers for earlier ones, too.

    cases: tells those of a moment, the gravest first.
    """

    def __init__(self, cases: Callable[[Facts], Sequence[Case]]) -> None:
        self._cases = cases
        self._spells: dict[str, list[_Spell]] = {}
        self._first: tuple[float, float] | None = None
        self._latest_taken = self._tidied = float("-inf")
        self._number = 0

    def take(self, facts: Facts) -> None:
        """Take note of what is wrong at this moment; nothing, if a later one was taken before."""
        if facts.time < self._latest_taken:
            return
        self._latest_taken = facts.time
        if self._first is None:
            self._first = facts.time, facts.wall
        for case in self._cases(facts):
            self._note(case, facts)
        if self._number > MOST_KEPT or facts.time - self._tidied >= _TIDY:
            self._forget(facts.time)

    def _note(self, case: Case, facts: Facts) -> None:
        spells = self._spells.setdefault(case.head.id, [])
        now = case.head.now
        if spells and facts.time - spells[-1].seen <= HOLD:
            last = spells[-1]
            last.case, last.seen, last.until = case, facts.time, facts.wall
            last.peak = max(last.peak, now)
            return
        since, watched = self._since(case, facts)
        what, severity, time, wall = case.head.what, case.severity, facts.time, facts.wall
        spells.append(_Spell(what, severity, case, time, wall, time, since, watched, wall, now))
        self._number += 1

    def _since(self, case: Case, facts: Facts) -> tuple[float | None, float]:
        """Return since when a case is that is seen for the first time, and the watch's beginning.

        Without a beginning of its own it was so before, unless it was not when the watch began, or
        when its hook was first read. It is as old as what was a case of its own before its cause
        was found.
        """
        time, wall = self._first or (facts.time, facts.wall)
        first = _first_read(case.head, facts)
        parts = [s for claim in case.others for s in self._spells.get(claim.id, ())[-1:]]
        parts = [spell for spell in parts if facts.time - spell.seen <= HOLD]
        if parts:
            oldest = min(parts, key=lambda spell: spell.begin)
            known = [since for since in (oldest.since, case.since) if since is not None]
            return (min(known) if oldest.since is not None else None), oldest.watched
        if case.head.since is None and first and facts.time - first.time <= AT_ONCE:
            return None, first.wall
        if case.since is None and facts.time - time > HOLD:
            return facts.wall, wall
        return case.since, wall

    def _forget(self, time: float) -> None:
        self._tidied = time
        every = [spell for spells in self._spells.values() for spell in spells]
        every.sort(key=lambda spell: -spell.seen)
        kept = {id(spell) for spell in every[:MOST_KEPT] if time - spell.seen <= KEPT}
        self._number = len(kept)
        for name, spells in list(self._spells.items()):
            spells[:] = [spell for spell in spells if id(spell) in kept]
            if not spells:
                del self._spells[name]

    # -- asked for -----------------------------------------------------------------------------

    def at(self, facts: Facts, ordinary: Ordinary = lambda _: False) -> list[Finding]:
        """Return what is wrong at a moment and what was before, the gravest of now first."""
        there = {case.head.id: case for case in self._cases(facts)}
        found = [self._now(case, facts, ordinary(case)) for case in there.values()]
        before = {id: spell for id, spell in self._latest(facts.time) if id not in there}
        joined = _joined(there.values(), before)
        found += [
            self._before(spell, facts, ordinary(spell.case))
            for id, spell in before.items()
            if id not in joined
        ]
        found.sort(key=lambda finding: _order(finding, facts.wall))
        return found

    def _latest(self, time: float) -> Iterator[tuple[str, _Spell]]:
        """Yield the last spell of each case that had begun by then, the latest begun first."""
        found = []
        for id, spells in self._spells.items():
            place = bisect_right(spells, time, key=lambda spell: spell.begin) - 1
            if place >= 0 and _tells(spells[place], time):
                found.append((id, spells[place]))
        yield from sorted(found, key=lambda one: -one[1].begin)

    def _now(self, case: Case, facts: Facts, ordinary: bool) -> Finding:
        spell, now = self._spell_at(case.head.id, facts.time), case.head.now
        if spell is None:
            since, watched = self._since(case, facts)
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
        if not over and _begins_anew(head, facts):
            return Finding(
                spell.case,
                Progress.NOW,
                spell.since,
                spell.watched,
                None,
                head.now,
                spell.peak,
                ordinary,
            )
        now = None
        if head.figure is not None and not over:
            values = facts.series(head.figure, head.key, 1)
            now = values[-1] if values else None
        until = min(spell.until, facts.wall)
        return Finding(
            spell.case, state, spell.since, spell.watched, until, now, spell.peak, ordinary
        )

    def turns(self, facts: Facts) -> list[Turn]:
        """Return what began, eased and was over until a moment, the latest first."""
        there = {case.head.id: case for case in self._cases(facts)}
        begun = [
            (name in there and spell is spells[-1], spell)
            for name, spells in self._spells.items()
            for spell in spells
            if spell.begin <= facts.time and _tells(spell, facts.time)
        ]
        found = [turn for goes_on, spell in begun for turn in _turns(spell, facts.time, goes_on)]
        found += [
            Turn(self._since(case, facts)[0] or facts.wall, Progress.NOW, case.head.what,
                 case.severity, case)
            for name, case in there.items()
            if self._spell_at(name, facts.time) is None
        ]  # fmt: skip
        found.sort(key=lambda turn: (-turn.wall, turn.what))
        return found


def _first_read(claim: Claim, facts: Facts) -> Sample | None:
    """Return the first sample of the hook that tells it."""
    hook = claim.rows[0].hook if claim.rows else None
    samples = (sample for id, sample in facts.since.items() if id.hook == hook)
    return min(samples, key=lambda sample: sample.time, default=None)


def _order(finding: Finding, wall: float) -> tuple[object, ...]:
    """Return what the gravest of now has least of. What eases keeps its place for a moment."""
    over, easing = finding.state is Progress.OVER, finding.state is Progress.EASING
    late = easing and finding.until is not None and wall - finding.until > PLACE_KEPT
    rank = () if over or late else tuple([-part for part in finding.case.rank])
    return over, finding.ordinary, late, rank


def _joined(there: Iterable[Case], before: Mapping[str, _Spell]) -> set[str]:
    """Return the ids of cases that have become parts of others, which tell of them now."""
    parts = {claim.id for case in there for claim in case.others}
    for spell in before.values():
        of = [before[claim.id] for claim in spell.case.others if claim.id in before]
        parts.update(part.case.head.id for part in of if part.seen <= spell.seen)
    return parts


def _begins_anew(claim: Claim, facts: Facts) -> bool:
    """Return whether a hook that told it has been read only once since it is on another rung.

    Or twice within a moment. There are no rates then: that it is not so any more is not known.
    """
    hooks = {evidence.hook for evidence in claim.evidence}
    return any((s.interval or 0.0) < MOMENT for hook in hooks for s in facts.of(hook))


def _tells(spell: _Spell, time: float) -> bool:
    """Return whether it is told of: a notice of a moment is not, once it is over."""
    if time - spell.seen <= HOLD:
        return True
    alarm = spell.case.severity is Gravity.ALARM
    return time - spell.seen <= KEPT and (alarm or spell.seen - spell.begin >= BRIEF)


def _turns(spell: _Spell, time: float, goes_on: bool) -> Iterator[Turn]:
    begun = spell.begun if spell.since is None else min(spell.since, spell.begun)
    yield Turn(begun, Progress.NOW, spell.what, spell.severity, spell.case)
    over = time - spell.seen > HOLD
    if over or (time > spell.seen and not goes_on):
        state = Progress.OVER if over else Progress.EASING
        what, severity = spell.case.head.what, spell.case.severity
        yield Turn(spell.until, state, what, severity, spell.case, spell.until - begun)
