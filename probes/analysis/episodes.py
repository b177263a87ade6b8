"""The times in which rows were unusual: an array of episodes, each with the row's one before it."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from probes.analysis.known_rows import ints
from probes.arrays import FEW, np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 16
"""Episodes that are kept of a row."""
_ENOUGH = 1024
"""Episodes from which those that nobody asks for are looked for."""
NONE = -1


class Episode(NamedTuple):
    """An anomaly's time, in ticks. end: the first tick after it; 0: it goes on.

    usual: the value before, not a number: unknown. wall: when it began. new: the row appeared with
    it.
    """

    begin: int
    end: int
    usual: float
    wall: float
    new: bool


class Episodes:
    """Episodes of all rows. latest: by slot, the place of its latest one; `NONE`."""

    def __init__(self) -> None:
        self.latest = array("i")
        self.begin, self.end, self._before = array("i"), array("i"), array("i")
        self._usual, self._wall, self._new = array("d"), array("d"), array("b")
        self._tidied = 0

    def grow(self, number: int) -> None:
        """Have that many slots."""
        self.latest.extend(array("i", [NONE]) * (number - len(self.latest)))

    def add(
        self, slots: array[int], tick: int, wall: float, usual: array[float], new: array[int]
    ) -> None:
        """Begin an episode of each of these rows."""
        number, first = len(slots), len(self.begin)
        if number > FEW:
            latest, places = ints(self.latest), ints(slots)
            self._before.frombytes(latest[places].tobytes())
            latest[places] = np.arange(first, first + number)
        else:
            self._before.extend([self.latest[slot] for slot in slots])
            for place, slot in enumerate(slots, first):
                self.latest[slot] = place
        self.begin.extend(array("i", [tick]) * number)
        self.end.extend(array("i", [0]) * number)
        self._wall.extend(array("d", [wall]) * number)
        self._usual.extend(usual)
        self._new.extend(new)

    def of(self, slot: int) -> Iterator[Episode]:
        """Return a row's episodes, the latest first."""
        place = self.latest[slot]
        for _ in range(MOST):
            if place < 0:
                return
            yield Episode(
                self.begin[place], self.end[place], self._usual[place], self._wall[place],
                bool(self._new[place]),
            )  # fmt: skip
            place = self._before[place]

    def at(self, slots: NDArray[np.int32], until: int) -> NDArray[np.int32]:
        """Return the place of the episode in which each row was at a tick; `NONE`."""
        if not self.begin:
            return np.full(len(slots), NONE, "i4")
        begin, end = ints(self.begin), ints(self.end)
        found = np.where(slots >= 0, ints(self.latest)[slots], NONE)
        for _ in range(MOST - 1):
            later = (found >= 0) & (begin[found] > until)
            if not later.any():
                break
            found[later] = ints(self._before)[found[later]]
        over = (found >= 0) & ((begin[found] > until) | (end[found] > 0) & (end[found] <= until))
        found[over] = NONE
        return found

    def many(
        self, places: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Return begin, usual, wall and new of some episodes."""
        usual, wall = np.frombuffer(self._usual), np.frombuffer(self._wall)
        new = np.frombuffer(self._new, "i1") > 0
        return ints(self.begin)[places], usual[places], wall[places], new[places]

    def calm(
        self, slots: NDArray[np.int32], since: int, until: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Return the times of some ticks that are in no episode, of each row, the oldest first.

        That is first tick and end, so many times as the row with most episodes has.
        """
        found = ints(self.latest)[slots]
        chain: list[NDArray[np.int32]] = []
        while (found >= 0).any() and len(chain) < MOST:
            chain.append(found)
            found = np.where(found >= 0, ints(self._before)[found], NONE)
        begun = np.full(len(slots), since, "i8")
        for places in reversed(chain):
            there = places >= 0
            begin, end = ints(self.begin)[places], ints(self.end)[places]
            yield begun, np.where(there, np.minimum(begin, until + 1), begun)
            end = np.where(end > 0, end, until + 1)
            begun = np.where(there, np.maximum(begun, end), begun)
        yield begun, np.full(len(slots), until + 1, "i8")

    def forget(self, slots: Iterable[int]) -> None:
        for slot in slots:
            self.latest[slot] = NONE

    def tidy(self) -> None:
        """Let go of episodes that no row has any more, once they are many."""
        if len(self.begin) < 2 * self._tidied + _ENOUGH:
            return
        before, chain = ints(self._before), ints(self.latest)
        kept = []
        for _ in range(MOST):
            chain = chain[chain >= 0]
            kept.append(chain)
            chain = before[chain]
        self._keep(np.sort(np.concatenate(kept)))
        self._tidied = len(self.begin)

    def _keep(self, kept: NDArray[np.int32]) -> None:
        number = np.full(len(self.begin) + 1, NONE, "i4")  # the last is of `NONE`
        number[kept] = np.arange(len(kept), dtype="i4")
        self.latest = array("i", number[ints(self.latest)].tobytes())
        self._before = array("i", number[ints(self._before)[kept]].tobytes())
        for name in ("begin", "end", "_usual", "_wall", "_new"):
            values = getattr(self, name)
            some = np.frombuffer(values, values.typecode)[kept]
            setattr(self, name, array(values.typecode, some.tobytes()))
