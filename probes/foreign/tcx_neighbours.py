"""Programs of ours right before and right behind somebody's in a TCX chain: what went in and on.

They let every packet go on, and end with this process. What did not come out behind was dropped,
redirected, or accepted (TCX_PASS): these are not told apart. Linux 6.6.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

from probes.attach import tcx
from probes.attach.tcx import TcxBeside
from probes.errors import ProbeError, as_refusal, passing
from probes.foreign import followers
from probes.foreign.counters_c import Answers, ProgramPlace, Verdicts, made_for
from probes.model import Opening, Value

AROUND = "around"
"""The way in which a program is counted, as in the column `seen`."""
MOST_IN_CHAIN = 32
"""Programs of a chain, ours among them: the kernel takes 64, and others need places."""
_NOT_TOLD = "ended: dropped, redirected or accepted; these are not told apart"
_MOVED = "not counted for a moment while its neighbours changed"
_TAKEN = "our program beside it was detached"
_LONG = f"its chain has {MOST_IN_CHAIN} programs or more: ours would take others' places"

Chain = tuple[int, int]
"""Index of the interface, and 1 for egress, else 0."""


def unplaceable() -> ProbeError | None:
    """Return the refusal of a host where nothing can be put beside others' programs."""
    return followers.unreachable() or tcx.missing()


class _Passed(NamedTuple):
    """Packets and bytes that came to a program, and the packets of these that went on."""

    packets: int = 0
    bytes: int = 0
    on: int = 0

    def plus(self, other: _Passed) -> _Passed:
        return _Passed(*(a + b for a, b in zip(self, other, strict=True)))

    @classmethod
    def of(cls, answers: Answers | None) -> _Passed:
        if answers is None:
            return cls()
        return cls(answers.packets[0], answers.bytes[0], answers.packets[1])


_NOTHING = _Passed()


@dataclass(slots=True)
class _Pair:
    """Our programs around another one, by their ids.

    base: counts before the last placement. good: what its map had when it was last found in its
    place. ended: packets that did not come out behind.
    """

    stack: ExitStack = field(default_factory=ExitStack)
    before: int = 0
    behind: int = 0
    base: _Passed = _NOTHING
    good: _Passed = _NOTHING
    ended: int = 0
    moved: bool = False

    def there(self, chain: Sequence[int]) -> bool:
        return self.before in chain and self.behind in chain

    def beside(self, program: int, chain: Sequence[int], ours: Collection[int]) -> bool:
        """Return whether nobody else's program is between it and ours."""
        first, at, last = (chain.index(id) for id in (self.before, program, self.behind))
        between = {*chain[first:at], *chain[at + 1 : last]}
        return first < at < last and between <= set(ours)


class Neighbours:
    """Pairs of one hook. `keep` follows the chains; what one refuses costs others nothing."""

    def __init__(self, opening: Opening, verdicts: Verdicts) -> None:
        self._opening, self._verdicts = opening, verdicts
        self._pairs: dict[ProgramPlace, _Pair] = {}
        self._refused: dict[ProgramPlace, str] = {}
        self._again: set[ProgramPlace] = set()
        "Those that were refused for want of something: they are tried again."
        self._new: set[ProgramPlace] = set()
        opening.stack.callback(self.close)

    def keep(
        self,
        places: Sequence[ProgramPlace],
        wanted: Collection[ProgramPlace],
        ours: Collection[int],
        answers: Mapping[ProgramPlace, Answers],
    ) -> None:  # fmt: skip
        """Put pairs around the wanted programs; place them again where somebody came between.

        places: all of all chains, in order. ours: ids. answers: as read before places were listed.
        """
        self._new.clear()
        chains: dict[Chain, list[int]] = defaultdict(list)
        for place in places:
            chains[place[1:]].append(place.program)
        for place in self._pairs.keys() - set(wanted):
            self._pairs.pop(place).stack.close()
        self._refused = {p: why for p, why in self._refused.items() if p in wanted}
        self._again &= self._refused.keys()
        for place in wanted:
            self._follow(place, chains[place[1:]], ours, _Passed.of(answers.get(place)))

    def _follow(
        self, place: ProgramPlace, chain: list[int], ours: Collection[int], passed: _Passed
    ) -> None:
        pair = self._pairs.get(place)
        if pair is None:
            if place not in self._refused or place in self._again:
                self._put(place, chain, _Pair())
        elif not pair.there(chain):
            self._pairs.pop(place).stack.close()
            self._refused[place] = _TAKEN  # others' programs are left in place
        elif pair.beside(place.program, chain, ours):
            pair.good = passed
        else:
            self._pairs.pop(place).stack.close()
            self._put(place, chain, _Pair(base=pair.base.plus(pair.good), moved=True))

    def _put(self, place: ProgramPlace, chain: list[int], pair: _Pair) -> None:
        """Put the one behind first; what it alone has counted is forgotten."""
        self._again.discard(place)
        if len(chain) + 2 > MOST_IN_CHAIN or len(self._pairs) >= followers.MAX_FOLLOWED:
            self._refused[place] = (
                _LONG if len(self._pairs) < followers.MAX_FOLLOWED else followers.ENOUGH
            )
            return
        try:
            pair.behind = self._attached(place, pair.stack, "behind")
            pair.before = self._attached(place, pair.stack, "before")
        except Exception as raised:
            pair.stack.close()
            refusal = as_refusal(raised, "attaching")
            self._refused[place] = refusal.why
            if passing(refusal):
                self._again.add(place)
            return
        self._refused.pop(place, None)
        chain += [pair.before, pair.behind]
        self._verdicts.forget([place])
        self._pairs[place] = pair
        self._new.add(place)

    def _attached(self, place: ProgramPlace, stack: ExitStack, side: str) -> int:
        direction = "egress" if place.egress else "ingress"
        point = TcxBeside(direction, place.ifindex, place.program, side == "behind")
        insns = made_for(self._opening.functions[side], place.program, place.egress)
        return self._opening.attach(point, insns, side, stack)

    def counted(
        self, place: ProgramPlace, answers: Mapping[ProgramPlace, Answers]
    ) -> tuple[dict[str, Value] | None, str]:
        """Return counts by column, None where nothing of ours is around it; and what is missing."""
        pair = self._pairs.get(place)
        if pair is None:
            return None, self._refused.get(place, "")
        # Counts read before it was placed again are of those that were there.
        passed = pair.base.plus(_Passed.of(None if place in self._new else answers.get(place)))
        ended = passed.packets - passed.on
        if ended > pair.ended:  # or one is between the two at this moment
            again = pair.base.plus(_Passed.of(self._verdicts.of(place)))
            ended = min(ended, again.packets - again.on)
        pair.ended = max(ended, 0)
        known: dict[str, Value] = {
            "seen": AROUND,
            "packets": passed.packets,
            "bytes": passed.bytes,
            "ended": pair.ended,
        }
        return known, f"{_NOT_TOLD}; {_MOVED}" if pair.moved else _NOT_TOLD

    def close(self) -> None:
        while self._pairs:
            self._pairs.popitem()[1].stack.close()
