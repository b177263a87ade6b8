"""Counts that a passive rung keeps itself, as in a map that evicts the least recently counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from probes.model import Column, Row, Value
from probes.toolkit.others import row_of_others

K = TypeVar("K")


class Tallies(Generic[K]):
    """Counts by key and column.

    Beyond `most` keys, those that were not counted for longest are merged as `others`, so that no
    sum goes back.
    """

    def __init__(self, most: int = 8192) -> None:
        self._most = most
        self._rows: dict[K, Counter[str]] = {}
        self.others: Counter[str] = Counter()

    def add(self, key: K, counts: Mapping[str, int]) -> None:
        """Add to the counts of a key."""
        row = self._rows.pop(key, None)
        self._rows[key] = row = Counter() if row is None else row
        row.update(counts)
        while len(self._rows) > self._most:
            self.others.update(self._rows.pop(next(iter(self._rows))))

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def rows(self) -> Iterator[tuple[K, Counter[str]]]:
        return iter(self._rows.items())

    def made(
        self,
        columns: Iterable[Column],
        row: Callable[[K, Counter[str]], Row],
        told: Callable[[Counter[str]], Mapping[str, Value]] = dict,
    ) -> list[Row]:
        """Return a row for each key, and one of others. told: the counts that a row shows."""
        found = [row(key, counts) for key, counts in self._rows.items()]
        return found + [row_of_others(columns, told(self.others))] * bool(self.others)
