"""Many destinations as columns are completed as rows are, one by one."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from probes.columns.cells import cells_of
from probes.columns.row_table import ColumnRows
from probes.hooks.tcp_connect.columns import completed
from probes.hooks.tcp_connect.readers import FAILURES
from probes.model import Row, Value

NAMES = ("pid", "comm", "raddr", "rport", "connects", "established", "failed", *FAILURES, "pending")


def _rows(dice: random.Random) -> list[Row]:
    def count() -> Value:
        return dice.choice((0, 0, 0, 1, 7, None))

    keys = [(n % 40, f"w{n % 3}", f"10.0.0.{n % 7}", n) for n in range(200)]
    return [(*key, *(count() for _ in NAMES[4:6]), None, *(count() for _ in FAILURES), None)
            for key in [*keys, (None, "w1", "10.0.0.1", 5)]]  # fmt: skip


def _one_by_one(rows: list[Row], waiting: Counter[tuple[Value, ...]]) -> list[Row]:
    made = []
    for row in rows:
        values = dict(zip(NAMES, row, strict=True))
        values["failed"] = sum(n for f in FAILURES if isinstance(n := values[f], int))
        values["pending"] = waiting[row[:4]]
        if any(values[name] for name in ("connects", "established", "failed", "pending")):
            made.append(tuple(values.values()))
    return made


@pytest.mark.parametrize("seed", range(5))
def test_what_failed_and_what_is_under_way_is_the_same(seed: int) -> None:
    dice = random.Random(seed)
    rows = _rows(dice)
    waiting: Counter[tuple[Value, ...]] = Counter(
        [row[:4] for row in dice.choices(rows, k=30)] + [(9999, "nobody", "::", 1)]
    )
    given = ColumnRows([cells_of(column) for column in zip(*rows, strict=True)])
    made = completed(given, NAMES, FAILURES, waiting)
    assert made is not None
    assert list(made) == _one_by_one(rows, waiting)
    assert list(completed(given, NAMES, FAILURES, Counter()) or ()) == _one_by_one(rows, Counter())


def test_numbers_that_are_too_large_are_left_to_the_rows() -> None:
    rows = [(1, "a", "::", 1, 1 << 62, 0, None, 0, 0, 0, 0, 0, None)]
    given = ColumnRows([cells_of(column) for column in zip(*rows, strict=True)])
    assert completed(given, NAMES, FAILURES, Counter()) is None
