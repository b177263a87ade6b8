"""Maps of the kernel as arrays: the same as entry by entry, with batches and without."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from typing import Any

import pytest

from probes.arrays import FEW
from probes.kernel import bpf
from probes.kernel.maps import (
    ARRAY,
    HASH,
    LRU_HASH,
    LRU_PERCPU_HASH,
    PERCPU_ARRAY,
    PERCPU_HASH,
    BpfTable,
)

pytestmark = pytest.mark.kernel

U64, U32 = "unsigned long long", "unsigned int"
KEY = json.dumps(["key", [["pid", U32], ["comm", "char", [12]]], "struct_packed"])
VALUE = json.dumps(["value", [["calls", U64], ["latency", U64, [3]]], "struct_packed"])


class Alone(BpfTable):
    """Reads entry by entry, as where the kernel has no batches."""

    def _all(self, *, take: bool = False) -> tuple[bytes, bytes]:
        return self._iterate(take=take)


@pytest.fixture(params=[HASH, LRU_HASH, PERCPU_HASH, LRU_PERCPU_HASH, ARRAY, PERCPU_ARRAY])
def maps(request: pytest.FixtureRequest) -> Iterator[tuple[BpfTable, BpfTable]]:
    """A map of more entries than few, read in batches and one by one."""
    kind, array = request.param, request.param in (ARRAY, PERCPU_ARRAY)
    about: dict[str, Any] = {
        "name": "rows", "max_entries": 3 * FEW, "type": kind,
        "key_desc": json.dumps(U32) if array else KEY, "key_size": 4 if array else 16,
        "leaf_desc": VALUE, "leaf_size": 32,
    }  # fmt: skip
    fd = bpf.map_create(kind, about["key_size"], 32, 3 * FEW)
    try:
        table, dice = BpfTable(fd, about), random.Random(kind)
        for n in range(2 * FEW):
            key = (n,) if array else (n, b"worker".ljust(12, b"\0"))
            table.update(key, tuple(dice.randrange(1 << 60) for _ in range(4)))
        yield table, Alone(fd, about)
    finally:
        os.close(fd)


def test_arrays_are_what_the_entries_are_one_by_one(maps: tuple[BpfTable, BpfTable]) -> None:
    table, alone = maps
    entries, rows = table.entries(), sorted(alone.rows())
    assert sorted(entries.rows()) == sorted(table.rows()) == rows
    assert sorted(entries["calls"].tolist()) == sorted(row[table.fields["calls"]] for row in rows)
    place = table.fields["latency"]
    assert sorted(map(tuple, entries["latency"].tolist())) == sorted(r[place] for r in rows)
    assert sorted(alone.entries()["calls"].tolist()) == sorted(entries["calls"].tolist())


def test_of_an_array_the_written_entries_are_those_that_are_not_zero(
    maps: tuple[BpfTable, BpfTable],
) -> None:
    table, alone = maps
    used = table.entries(used=True)
    assert len(used) == 2 * FEW
    assert sorted(used.rows()) == sorted(table.used()) == sorted(alone.used())
    for row in used.rows()[:5]:
        assert table.row(row[: table.keys]) == row
