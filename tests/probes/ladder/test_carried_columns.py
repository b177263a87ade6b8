"""Totals of many rows go on as those of few do: columns and rows give the same, in one order."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from probes.arrays import np
from probes.columns.cells import TupleCells, cells_of
from probes.columns.row_table import RowTable
from probes.ladder import carried
from probes.ladder.carried import CarriedTotals
from probes.model import Column, Hook, Key, Kind, Row, Value
from probes.units import Unit

HOOK = Hook(
    name="calls",
    title="Calls",
    question="",
    columns=(
        Column("name", "Name", kind=Kind.KEY),
        Column("pid", "Pid", Unit.NUMBER, Kind.KEY),
        Column("calls", "Calls", Unit.COUNT, Kind.COUNTER),
        Column("late", "Late", Unit.COUNT, Kind.COUNTER),
        Column("took", "Took", Unit.NS, Kind.HISTOGRAM),
        Column("pending", "Pending", Unit.COUNT),
        Column("error", "Error"),
    ),
    ladder=(),
)
KEYS = HOOK.places.keys


def _rows(dice: random.Random, number: int, most: int, unknown: bool) -> dict[Key, Row]:
    def count() -> Value:
        return None if unknown and not dice.randrange(3) else dice.choice((0, dice.randrange(most)))

    def took() -> Value:
        hits = tuple(dice.randrange(3) for _ in range(4))
        return None if unknown and not dice.randrange(3) else hits

    keys = {(f"w{dice.randrange(40)}", dice.choice((None, 1, 2))) for _ in range(number)}
    return {
        key: (*key, count(), count(), took(), dice.randrange(3), "-")
        for key in sorted(keys, key=repr)
    }


def _as_columns(totals: CarriedTotals) -> CarriedTotals:
    rows: Mapping[Key, Row] = {}
    if totals.rows:
        columns = list(zip(*totals.rows.values(), strict=True))
        cells = [cells_of(values) for values in columns]
        known = np.array([value is not None for value in columns[4]], bool)
        hits = np.array([value or (0,) * 4 for value in columns[4]], "u8")
        cells[4] = TupleCells.narrow(hits, known)
        rows = RowTable(cells, KEYS)
    return CarriedTotals(rows, totals.lost, totals.unlogged, totals.forgotten)


def _alike(made: Mapping[Key, Row], rows: Mapping[Key, Row]) -> None:
    assert list(made.items()) == list(rows.items())
    assert repr(list(made.values())) == repr(list(rows.values())), "types as well"


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rows_go", [False, True])
@pytest.mark.parametrize(("most", "unknown"), [(9, False), (9, True), (1 << 63, True)])
def test_columns_go_on_as_rows_do(
    seed: int, rows_go: bool, most: int, unknown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carried, "MAX_IDLE_ROWS", 20)
    hook = Hook("calls", "Calls", "", HOOK.columns, (), rows_go=rows_go)
    dice = random.Random(seed)
    some, later, now, first = (
        CarriedTotals(_rows(dice, n, most, unknown), n) for n in (30, 50, 60, 20)
    )
    rows, tables = [], []
    for totals, found in ((lambda t: t, rows), (_as_columns, tables)):
        ended = carried.ended(hook, totals(some), totals(later))
        halfway = carried.halfway(hook, totals(some), totals(first))
        base = carried.base(hook, ended, halfway)
        total = carried.total(hook, base, totals(now))
        left = carried.left_out(hook, base, totals(now).rows, totals(some).rows)
        found += [ended, halfway, base, total, left, carried.total(hook, left, totals(now))]
    assert isinstance(tables[3].rows, RowTable) == (most == 9)
    for of_columns, of_rows in zip(tables, rows, strict=True):
        _alike(of_columns.rows, of_rows.rows)
        assert of_columns.lost == of_rows.lost
        assert of_columns.forgotten == of_rows.forgotten


def test_rows_of_the_past_and_columns_of_now_go_on_together() -> None:
    dice = random.Random(1)
    past, now = (CarriedTotals(_rows(dice, n, 9, unknown=False)) for n in (5, 60))
    base = carried.base(HOOK, past, CarriedTotals())
    made = carried.total(HOOK, base, _as_columns(now))
    assert dict(made.rows) == dict(carried.total(HOOK, base, now).rows)
