"""Snapshots of columns have the numbers that snapshots of rows have, bit for bit."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import replace

import pytest

from probes.analysis import snapshot
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot import Snapshot
from probes.arrays import np
from probes.columns.row_table import RowTable
from probes.model import (
    OTHERS,
    Column,
    Hook,
    HookId,
    Key,
    Kind,
    Row,
    Sample,
    State,
    Status,
    Value,
)
from probes.toolkit.columns import mean, quantile
from probes.units import Unit

HOOK = Hook(
    name="made-up",
    title="Made up",
    question="Nothing.",
    columns=(
        Column("comm", "Command", kind=Kind.KEY),
        Column("pid", "Pid", Unit.NUMBER, Kind.KEY),
        Column("level", "Level"),
        Column("calls", "Calls", kind=Kind.COUNTER),
        Column("total", "Total", kind=Kind.COUNTER, hidden=True),
        Column("seconds", "Seconds", kind=Kind.COUNTER),
        Column("times", "Times", kind=Kind.HISTOGRAM, hidden=True),
        Column("least", "Least"),
        Column("mean", "Mean", kind=Kind.DERIVED, derive=mean("total", "calls")),
        Column("p50", "p50", kind=Kind.DERIVED, derive=quantile("times", 0.5, least="least")),
        Column("p99", "p99", kind=Kind.DERIVED, derive=quantile("times", 0.99, total="total")),
    ),
    ladder=(),
)
KEYS = HOOK.places.keys
FEW = 64
SIZES = (1, 7, 1000, 1 << 31, 1 << 32, (1 << 53) + 1, 1 << 63, (1 << 64) - 1)


class Kernel:
    """Rows that count, come, go and begin again."""

    def __init__(self, seed: int, *, odd: bool) -> None:
        self.dice, self.odd = random.Random(seed), odd
        self.rows: dict[Key, list[Value]] = {}
        self.others = 0
        for _ in range(3 * FEW):
            self.bear()

    def bear(self) -> None:
        dice = self.dice
        key = (f"worker-{dice.randrange(9)}", dice.randrange(400))
        self.rows[key] = [*key, self._level(), dice.randrange(9), 0, 0.0, (0,) * 12, 1 + key[1]]

    def _level(self) -> Value:
        return self.dice.choice((None, "x", 7, 0.5) if self.odd else (1, 2, 3))

    def work(self) -> None:
        dice = self.dice
        for key in dice.sample(list(self.rows), FEW // 2):
            del self.rows[key]
        for _ in range(FEW // 2):
            self.bear()
        for row in self.rows.values():
            if dice.random() < 0.6:
                self._count(row)
            elif dice.random() < 0.05:
                row[3:7] = [dice.randrange(3), 0, 0.0, (0,) * 12]
        self.others += dice.randrange(5)

    def _count(self, row: list[Value]) -> None:
        dice = self.dice
        by = dice.choice(SIZES if self.odd else SIZES[:4])
        row[3] = None if self.odd and dice.random() < 0.1 else _plus(row[3], dice.randrange(by))
        row[4] = _plus(row[4], dice.randrange(by))
        row[5] = float(row[5] or 0) + dice.random()  # type: ignore[arg-type]
        times = list(row[6] or ())  # type: ignore[call-overload]
        times[dice.randrange(12)] += dice.randrange(1, 9)
        row[6] = tuple(times)

    def read(self, *, full: bool) -> dict[Key, Row]:
        rows: dict[Key, Row] = {key: tuple(row) for key, row in self.rows.items()}
        if full:
            rows |= {("gone", None): ("gone", None, 1, self.others, 0, 0.0, (1,) * 12, None)}
            rows |= {(OTHERS, None): (OTHERS, None, 1, 9 * self.others, 7, 0.0, (2,) * 12, None)}
        return rows


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "FEW", FEW)


def _plus(value: Value, more: int) -> int:
    return ((value if isinstance(value, int) else 0) + more) % (1 << 64)


def _sample(time: float, rows: Mapping[Key, Row], **more: object) -> Sample:
    status = Status(HookId("made-up"), State.ATTACHED, "best")
    return replace(Sample(status, time, 1e9 + time, rows=rows), **more)  # type: ignore[arg-type]


def _table(rows: Mapping[Key, Row]) -> RowTable:
    return RowTable.of_rows(rows.values(), KEYS)


def _plain(rows: object) -> list[object]:
    return [(row.key, dict(row.values), dict(row.rates)) for row in rows]  # type: ignore[attr-defined]


@pytest.mark.parametrize("from_zero", [True, False])
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("odd", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_columns_have_the_numbers_of_rows(
    seed: int, odd: bool, full: bool, from_zero: bool
) -> None:
    kernel = Kernel(seed, odd=odd)
    readings = []
    for second in range(4):
        kernel.work()
        readings.append((second * 1.25, kernel.read(full=full)))
    (begin, first), _, (before, old), (now, rows) = readings
    more = {"from_zero": from_zero}
    for window in (None, first):
        as_rows = Snapshot.between(
            HOOK,
            _sample(before, old, **more),
            _sample(now, rows, **more),
            None if window is None else _sample(begin, window, **more),
        )
        for was in (old, _table(old)):
            since = None if window is None else _sample(begin, _table(window), **more)
            made = Snapshot.between(
                HOOK, _sample(before, was, **more), _sample(now, _table(rows), **more), since
            )
            assert isinstance(made.rows, ManyRows)
            expected = _plain(as_rows.rows)
            assert _plain([made.rows[n] for n in range(len(made.rows))]) == expected
            assert _plain(made.rows) == expected
            assert repr(_plain(made.rows)) == repr(expected), "types as well"
            for name in ("mean", "p50", "p99", "level", "calls"):
                assert repr(list(made.numbers(name).items())) == repr(
                    [(row.key, v if isinstance(v := row[name], int | float) else None)
                     for row in as_rows.rows]
                )  # fmt: skip
            assert made.rates("total") == {row.key: row.rates["total"] for row in as_rows.rows}
            assert made.rate_of_all("calls") == as_rows.rate_of_all("calls")


@pytest.mark.parametrize("hidden", [(0, 0), (3, 0), (0, 3), (3, 3)])
def test_where_rows_were_left_out_columns_have_the_numbers_of_rows(hidden: tuple[int, int]) -> None:
    kernel = Kernel(9, odd=False)
    kernel.work()
    old = kernel.read(full=True)
    kernel.work()
    rows = kernel.read(full=True)
    before, now = (
        _sample(n, r, forgotten=h) for n, (r, h) in enumerate(zip((old, rows), hidden, strict=True))
    )
    made = Snapshot.between(
        HOOK, replace(before, rows=_table(old)), replace(now, rows=_table(rows))
    )
    assert _plain(made.rows) == _plain(Snapshot.between(HOOK, before, now).rows)


def test_without_an_earlier_reading_there_are_values_and_no_rates() -> None:
    rows = Kernel(1, odd=True).read(full=False)
    made = Snapshot.between(HOOK, None, _sample(1, _table(rows)))
    assert _plain(made.rows) == _plain(Snapshot.between(HOOK, None, _sample(1, rows)).rows)


def test_a_row_is_made_only_when_it_is_asked_for() -> None:
    kernel = Kernel(1, odd=False)
    before, now = _table(kernel.read(full=False)), _table(kernel.read(full=False))
    made = Snapshot.between(HOOK, _sample(0, before), _sample(1, now))
    assert made.rows[5].key == now.key(5)
    assert "_index" not in now.__dict__ | before.__dict__, "no key was made"
    assert "_all" not in made.rows.__dict__


def test_what_is_derived_is_derived_of_all_at_once() -> None:
    kernel = Kernel(3, odd=False)
    first = _table(kernel.read(full=True))
    kernel.work()
    before = _table(kernel.read(full=True))
    kernel.work()
    made = Snapshot.between(
        HOOK, _sample(1, before), _sample(2, _table(kernel.read(full=True))), _sample(0, first)
    )
    assert isinstance(made.rows, ManyRows)
    assert all(made.rows.derived(name) is not None for name in ("mean", "p50", "p99"))
    assert made.rows.derived("p99") is made.rows.derived("p99"), "once for whoever asks"
    assert "_all" not in made.rows.__dict__


def test_all_rows_are_made_without_those_of_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(3, odd=False)
    first = _table(kernel.read(full=False))
    kernel.work()
    before = _table(kernel.read(full=False))
    kernel.work()
    made = Snapshot.between(
        HOOK, _sample(1, before), _sample(2, _table(kernel.read(full=False))), _sample(0, first)
    )
    asked: list[int] = []
    row = RowTable.row
    monkeypatch.setattr(first, "values", lambda: pytest.fail("rows of the window were made"))
    monkeypatch.setattr(RowTable, "row", lambda table, at: asked.append(at) or row(table, at))
    assert len([row.values for row in made.rows]) == len(made.rows)
    assert not asked, "what is derived came with the rows"


def _odd_floats(seed: int) -> dict[Key, Row]:
    """Rows with every number in every counter, as a hook file of a user may have them."""
    dice = random.Random(seed)
    odd = (math.nan, math.inf, -math.inf, 0.0, 2.5, 1e308, None)
    return {
        (f"t{n}", n): (f"t{n}", n, 1, dice.choice(odd), dice.choice(odd), dice.choice(odd),
                       (n, 2, 0, 1), dice.choice(odd))
        for n in range(3 * FEW)
    }  # fmt: skip


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", range(3))
def test_of_infinity_and_what_is_no_number_columns_have_the_numbers_of_rows(seed: int) -> None:
    old, rows, window = (_odd_floats(3 * seed + n) for n in range(3))
    expected = Snapshot.between(HOOK, _sample(1, old), _sample(2, rows), _sample(0, window))
    made = Snapshot.between(
        HOOK, _sample(1, _table(old)), _sample(2, _table(rows)), _sample(0, _table(window))
    )
    assert repr(_plain(made.rows)) == repr(_plain(expected.rows))
    for name in ("mean", "p50", "p99"):
        assert repr(made.numbers(name)) == repr({r.key: r[name] for r in expected.rows})


def test_a_table_is_compared_with_an_empty_one() -> None:
    rows = Kernel(1, odd=False).read(full=False)
    nothing = _table(rows).at(np.zeros(len(rows), bool))
    expected = Snapshot.between(HOOK, _sample(1, {}), _sample(2, rows), _sample(0, {}))
    made = Snapshot.between(
        HOOK, _sample(1, nothing), _sample(2, _table(rows)), _sample(0, nothing)
    )
    assert repr(_plain(made.rows)) == repr(_plain(expected.rows))
    assert made.numbers("p99") == expected.numbers("p99")
