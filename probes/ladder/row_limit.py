"""The limit on rows of all hooks: memory is bounded, the activity of a host is not."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from probes.model import Hook, HookId, Key, Row

MIN_ROWS = 20
"""Rows that any hook keeps of each target, however little memory there is."""


class RowLimit:
    """`total` rows of all hooks and targets together, shared out so that the long lists are cut.

    Beyond it the least active rows of a reading are left out, and their number is in the sample.
    total: may be set while it runs. Used from several threads.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._counts: dict[HookId, int] = {}
        self._sums: dict[HookId, Mapping[Key, int]] = {}

    def fit(self, id: HookId, hook: Hook, rows: Sequence[Row]) -> Sequence[Row]:
        """Return the rows that are kept, in their order."""
        if not rows:  # nor is there an entry for each target that ever was
            self.forget(id)
            return rows
        self._counts[id] = len(rows)
        most = self._share()
        if len(rows) <= most:
            self._sums.pop(id, None)
            return rows
        keys, counters = hook.places.keys, [i for i, _ in hook.places.counters]
        before = self._sums.get(id, {})
        sums: dict[Key, int] = {}
        active: list[tuple[int, int, int]] = []
        for place, row in enumerate(rows):
            key = tuple([row[i] for i in keys])
            now = sum([v for i in counters if isinstance(v := row[i], int)])
            sums[key] = now
            active.append((now - before.get(key, 0), now, place))
        self._sums[id] = sums
        return [rows[place] for _, _, place in sorted(heapq.nlargest(most, active), key=_place)]

    def forget(self, id: HookId) -> None:
        """Forget a target on which nothing is attached any more."""
        self._counts.pop(id, None)
        self._sums.pop(id, None)

    def _share(self) -> int:
        """Return the rows for one target: all of them, while there is enough for everyone."""
        counts = sorted(self._counts.values())
        left = self.total
        if sum(counts) <= left:
            return left
        for place, count in enumerate(counts):
            share = left // (len(counts) - place)
            if count > share:
                return max(share, MIN_ROWS)
            left -= count
        return max(left, MIN_ROWS)


def _place(one: tuple[int, int, int]) -> int:
    return one[2]
