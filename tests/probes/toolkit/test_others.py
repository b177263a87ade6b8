"""Rows of what a map threw out: whatever it throws out and when, no sum goes back or is missing."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Mapping

import pytest

from probes.model import OTHERS, Column, Flat, Hook, Kind, Opening, Row
from probes.toolkit.others import Others
from probes.units import Unit

COLUMNS = (
    Column("name", "Name", kind=Kind.KEY, field="name"),
    Column("pid", "Pid", Unit.NUMBER, Kind.KEY, "pid"),
    Column("begun", "Begun", kind=Kind.COUNTER, field="begun"),
    Column("ended", "Ended", kind=Kind.COUNTER, field="ended"),
)


class Lru:
    """A map of so many rows as programs count in it, and the sum of all."""

    fields: Mapping[str, int | slice] = {"name": 0, "pid": 1, "begun": 2, "ended": 3}
    keys = 2

    def __init__(self, most: int) -> None:
        self.most = most
        self.entries: OrderedDict[Flat, list[int]] = OrderedDict()
        self.everything = [0, 0]

    def count(self, key: Flat, lane: int) -> None:
        self.entries.setdefault(key, [0, 0])[lane] += 1
        self.entries.move_to_end(key)
        self.everything[lane] += 1
        while len(self.entries) > self.most:
            self.entries.popitem(last=False)

    def rows(self) -> list[Flat]:
        return [(*key, *counts) for key, counts in self.entries.items()]


class Sum:
    """The array `everything` of such a map."""

    fields: Mapping[str, int | slice] = {"key": 0, "begun": 1, "ended": 2}
    keys = 1

    def __init__(self, lru: Lru) -> None:
        self._lru = lru

    def row(self, key: Flat) -> Flat | None:
        return (*key, *self._lru.everything)


def _row(entry: Flat) -> Row:
    name, pid, begun, ended = entry
    return name, pid, begun, ended


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("how", [{}, {"by_process": False}, {"stay": True}], ids=str)
def test_sums_are_what_was_counted_and_no_row_of_a_group_goes_back(
    how: dict[str, bool], seed: int
) -> None:
    chance, lru = random.Random(seed), Lru(6)
    hook = Hook("made-up", "Made up", "Nothing.", COLUMNS, ())
    tables = {"rows": lru, "everything": Sum(lru)}
    others = Others(Opening(hook, tables, None, 0), **how)  # type: ignore[arg-type]
    added = [0, 0]
    groups: dict[str, int] = {}
    for _ in range(60):
        for _ in range(chance.randrange(12)):
            key = chance.choice("ab"), chance.randrange(1, 8)
            lru.count(key, chance.randrange(2))
            if not chance.randrange(4):
                lane = chance.randrange(2)
                others.add(key, ("begun", "ended")[lane])
                added[lane] += 1
        others.before()
        rows = others.rows(lru.rows(), _row)
        if not lru.entries:
            continue
        for lane in (0, 1):
            assert sum(r[2 + lane] for r in rows) == lru.everything[lane] + added[lane]  # type: ignore[misc]
        if how.get("by_process", True):
            now = {n: sum(int(str(r[2])) for r in rows if r[0] == n) for n in ("a", "b", OTHERS)}
            assert all(now[name] >= n for name, n in groups.items())
            groups = now
    assert others.full
