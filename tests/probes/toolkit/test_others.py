"""Rows of what a map threw out: whatever it throws out and when, no sum goes back or is missing."""

from __future__ import annotations

import json
import random
from collections import OrderedDict
from collections.abc import Mapping

import pytest

from probes.kernel.map_entries import MapEntries, StructLayout
from probes.model import OTHERS, Column, Flat, Hook, Kind, Opening, Row
from probes.toolkit import others as others_
from probes.toolkit.decode import comm
from probes.toolkit.field_cells import cells_from
from probes.toolkit.others import Others
from probes.toolkit.readers import row_of
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


# -- as columns ------------------------------------------------------------------------------------

U64, U32 = "unsigned long long", "unsigned int"
KEY = StructLayout(
    json.dumps(
        ["key", [["name", "char", [8]], ["pid", U32], ["__pad", "char", [4]]], "struct_packed"]
    ),
    16,
    "key",
)
VALUE = StructLayout(
    json.dumps(["value", [["begun", U64], ["ended", U64], ["times", U64, [3]]], "struct_packed"]),
    40,
    "value",
)
WIDE = (
    Column("name", "Name", kind=Kind.KEY, field="name", decode=comm),
    Column("pid", "Pid", Unit.NUMBER, Kind.KEY, "pid"),
    Column("begun", "Begun", kind=Kind.COUNTER, field="begun"),
    Column("ended", "Ended", kind=Kind.COUNTER, field="ended"),
    Column("times", "Times", kind=Kind.HISTOGRAM, field="times"),
)


class WideLru:
    """The same with a histogram, read as the kernel's bytes."""

    fields: Mapping[str, int | slice] = {
        "name": 0, "pid": 1, "begun": 2, "ended": 3, "times": slice(4, 7),
    }  # fmt: skip
    keys = 2

    def __init__(self, most: int) -> None:
        self.most = most
        self.counts: OrderedDict[Flat, list[int]] = OrderedDict()
        self.everything = [0] * 5

    def count(self, key: Flat, lane: int) -> None:
        self.counts.setdefault(key, [0] * 5)[lane] += 1
        self.counts.move_to_end(key)
        self.everything[lane] += 1
        while len(self.counts) > self.most:
            self.counts.popitem(last=False)

    def entries(self, *, used: bool = False) -> MapEntries:
        assert not used
        keys = b"".join(KEY.codec.pack(*key) for key in self.counts)
        values = b"".join(VALUE.codec.pack(*counts) for counts in self.counts.values())
        return MapEntries((KEY, VALUE), keys, values)


class WideSum:
    fields: Mapping[str, int | slice] = {"key": 0, "begun": 1, "ended": 2, "times": slice(3, 6)}
    keys = 1

    def __init__(self, lru: WideLru) -> None:
        self._lru = lru

    def row(self, key: Flat) -> Flat | None:
        return (*key, *self._lru.everything)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("most", [40, 90, 10_000])
@pytest.mark.parametrize("how", [{}, {"by_process": False}, {"stay": True}], ids=str)
def test_columns_are_the_rows_that_one_by_one_there_would_be(
    how: dict[str, bool], most: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a map that is too small for columns, that evicts, and that has room for all."""
    monkeypatch.setattr(others_, "FEW", 64)
    chance, lru = random.Random(seed), WideLru(most)
    hook = Hook("made-up", "Made up", "Nothing.", WIDE, ())
    tables = {"rows": lru, "everything": WideSum(lru)}
    opening = Opening(hook, tables, None, 0)  # type: ignore[arg-type]
    one_by_one, many = Others(opening, **how), Others(opening, **how)  # type: ignore[arg-type]
    row, cells = row_of(hook.stored, lru), cells_from(hook.stored)  # type: ignore[arg-type]
    for turn in range(25):
        for _ in range(chance.randrange(80)):
            name = chance.choice((b"ab", b"cd")).ljust(8, b"\0")
            lru.count((name, chance.randrange(1, 300)), chance.randrange(5))
        for key in chance.sample(list(lru.counts), min(turn % 4, len(lru.counts))):
            for others in (one_by_one, many) if turn > 12 else ():
                others.add(key, "ended" if turn % 2 else "begun")
        for others in (one_by_one, many):
            others.before()
        expected = one_by_one.rows(lru.entries().rows(), row)
        made = list(many.many(lru.entries(), row, cells))
        assert made == expected
        assert repr(made) == repr(expected), "types as well"
