"""Cached names, looked up again now and then within a time allowance."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from itertools import repeat
from time import monotonic
from typing import Generic, TypeVar

from probes.owners.allowance import Allowance

AGAIN = 10.0
"""Seconds after which something is looked at again."""
MOST = 1 << 15
"""Names that are remembered: the oldest is forgotten first."""
NEW_SECONDS, AGAIN_SECONDS = 0.015, 0.005
"""Seconds of each second for what is new, and for a second look."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Lookups(Generic[K, V]):
    """Answers by key. find: looks one up, None if it has gone. nothing: the answer of such a one.

    others: of the keys that are known, those that may be another one's since it was last called;
    without it what has gone does not come back, either. What has no time left is looked up in the
    next reading. Not thread-safe.
    """

    def __init__(
        self,
        find: Callable[[K], V | None],
        nothing: V,
        others: Callable[[Collection[K]], Iterable[K]] = lambda _: (),
    ) -> None:
        self._find, self._nothing, self._others = find, nothing, others
        self._known: dict[K, V] = {}
        self._order: deque[tuple[float, K]] = deque()
        self._looked: dict[K, float] = {}
        "When those that are there were looked at last; older entries of `_order` count no more."
        self._new, self._again = Allowance(NEW_SECONDS), Allowance(AGAIN_SECONDS)

    def of_all(self, keys: Sequence[K]) -> list[V]:
        """Return the answer of each, without a call for each that is known."""
        for key in self._others(self._known.keys()):
            self._drop(key)
        self._look_again()
        if new := set(keys) - self._known.keys():
            self._look(new)
        return list(map(self._known.get, keys, repeat(self._nothing)))

    def remember(self, answers: Mapping[K, V]) -> None:
        """Keep what something else has told of those that have gone."""
        self._known.update(answers)
        self._forget()

    def _look(self, keys: Iterable[K]) -> None:
        until = self._new.begin()
        for key in keys:
            if monotonic() > until:
                break
            found = self._find(key)
            self._known[key] = self._nothing if found is None else found
            if found is not None:
                self._queue(key)
        self._new.end(until)
        self._forget()

    def _forget(self) -> None:
        while len(self._known) > MOST:
            self._drop(next(iter(self._known)))

    def _drop(self, key: K) -> None:
        del self._known[key]
        self._looked.pop(key, None)

    def _queue(self, key: K) -> None:
        self._looked[key] = now = monotonic()
        self._order.append((now, key))

    def _look_again(self) -> None:
        """Look at those that were looked at longest ago; what has gone keeps its answer."""
        due = monotonic() - AGAIN
        if not self._order or self._order[0][0] > due:
            return
        until = self._again.begin()
        while self._order and self._order[0][0] <= due and monotonic() < until:
            looked, key = self._order.popleft()
            if self._looked.get(key) != looked:
                continue
            found = self._find(key)
            if found is None:
                del self._looked[key]
            else:
                self._known[key] = found
                self._queue(key)
        self._again.end(until)
