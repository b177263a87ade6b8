"""What rows of others took over: nothing is counted twice, and it takes a step for each row."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from probes.analysis.moved import bases, unknown
from probes.columns.row_table import RowTable
from probes.model import OTHERS, Column, Hook, Key, Kind, Row
from probes.units import DASH, Unit
from tests.support.calls_made import calls_of

HOOK = Hook(
    name="made-up",
    title="Made up",
    question="Nothing.",
    columns=(
        Column("pid", "Pid", Unit.NUMBER, Kind.KEY),
        Column("name", "Name", kind=Kind.KEY),
        Column("calls", "Calls", kind=Kind.COUNTER),
    ),
    ladder=(),
)
Given = tuple[int | None, str, int]


def _rows(*given: Given) -> dict[Key, Row]:
    return {(pid, name): (pid, name, calls) for pid, name, calls in given}


BEFORE = _rows((1, "a", 10), (2, "a", 5), (3, "b", 7))


def test_rows_that_are_not_there_are_in_those_that_are_alike() -> None:
    now = _rows((2, "a", 6), (None, "a", 12), (None, OTHERS, 20))
    found, taken = bases(HOOK, BEFORE, now)
    assert found == _rows((None, "a", 10), (None, OTHERS, 7))
    assert taken == {(1, "a"), (3, "b")}


def test_others_of_a_kind_take_over_what_is_of_that_kind() -> None:
    hook = replace(HOOK, columns=(*HOOK.columns, Column("place", "Place", kind=Kind.KEY)))
    before: dict[Key, Row] = {
        (pid, name, place): (pid, name, calls, place)
        for pid, name, calls, place in ((1, "a", 10, "x"), (2, "b", 5, "y"), (3, "c", 7, "x"))
    }
    now: dict[Key, Row] = {
        (0, OTHERS, "x"): (0, OTHERS, 18, "x"),
        (None, OTHERS, DASH): (None, OTHERS, 5, DASH),
    }
    found, taken = bases(hook, before, now)
    assert {key: row[2] for key, row in found.items()} == dict(zip(now, (17, 5), strict=True))
    assert taken == before.keys()


def test_rows_of_others_are_never_taken_for_thrown_out() -> None:
    before = {**BEFORE, **_rows((None, "b", 4))}
    now = _rows((2, "a", 5), (3, "b", 7), (1, "a", 10), (None, OTHERS, 9))
    assert bases(HOOK, before, now) == ({}, set())


@pytest.mark.parametrize(("grown", "taken"), [(0, 0), (4, 1), (7, 1), (8, 2), (22, 3), (1000, 3)])
def test_of_rows_that_may_be_hidden_as_many_are_taken_as_were_counted(
    grown: int, taken: int
) -> None:
    before = {**_rows((3, "b", 7), (2, "c", 5), (1, "d", 10), (4, "e", 1), (None, OTHERS, 50))}
    now = _rows((4, "e", 2), (None, OTHERS, 50 + grown))
    found, over = bases(HOOK, before, now, hidden=True)
    assert len(over) == taken
    ((_, _, base),) = found.values()
    assert base == min(50 + grown, 50 + sum([7, 5, 10][:taken]))


def test_where_rows_were_hidden_before_nothing_is_known_of_what_grew() -> None:
    before = _rows((1, "a", 10), (None, "a", 3), (None, OTHERS, 9))
    now = _rows((1, "a", 11), (None, "a", 3), (None, OTHERS, 10))
    found = unknown(HOOK, before, now)
    assert set(found) == {(None, OTHERS)}
    assert found[None, OTHERS][2] > 10  # type: ignore[operator]


class _Counted(tuple[Any, ...]):
    """A key that counts what is done with it."""

    steps: Counter[str] = Counter()
    __slots__ = ()

    def __hash__(self) -> int:
        self.steps["hash"] += 1
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        self.steps["eq"] += 1
        return super().__eq__(other)

    def __contains__(self, value: object) -> bool:
        self.steps["contains"] += 1
        return super().__contains__(value)

    def __getitem__(self, place: Any) -> Any:
        self.steps["item"] += 1
        return super().__getitem__(place)


def _steps(processes: int, *, hidden: bool) -> int:
    """All have gone, each into a row of its own."""
    pids = range(1, processes + 1)
    before = {_Counted((pid, f"n{pid}")): (pid, f"n{pid}", 1) for pid in pids}
    now = {_Counted((None, f"n{pid}")): (None, f"n{pid}", 1) for pid in pids}
    now[_Counted((None, OTHERS))] = (None, OTHERS, 1)
    _Counted.steps.clear()
    found, taken = bases(HOOK, before, now, hidden=hidden)
    steps = _Counted.steps.total()
    assert len(found) == len(taken) == processes
    return steps


@pytest.mark.parametrize("hidden", [False, True])
def test_twice_as_many_rows_take_twice_as_many_steps(hidden: bool) -> None:
    few, many = _steps(200, hidden=hidden), _steps(400, hidden=hidden)
    assert many < 2.2 * few
    assert many < 400 * 40


def _table(rows: dict[Key, Row]) -> RowTable:
    return RowTable.of_rows(rows.values(), HOOK.places.keys)


def _any_rows(dice: random.Random, takers: int) -> dict[Key, Row]:
    pids = dice.sample(range(1, 40), dice.randrange(1, 30))
    calls = (0, 1, 5, 9, 1 << 40, 1 << 62)
    seen = [(pid, dice.choice("abc"), dice.choice(calls)) for pid in pids]
    last = [(None, dice.choice(("a", "b", OTHERS)), dice.choice(calls)) for _ in range(takers)]
    return _rows(*seen, *last)


@pytest.mark.parametrize("seed", range(200))
def test_of_tables_the_same_is_found_as_of_rows(seed: int) -> None:
    dice = random.Random(seed)
    before, now = _any_rows(dice, seed % 3), _any_rows(dice, seed % 4)
    tables = _table(before), _table(now)
    for hidden in (False, True):
        assert bases(HOOK, *tables, hidden=hidden) == bases(HOOK, before, now, hidden=hidden)
    assert unknown(HOOK, *tables) == unknown(HOOK, before, now)
    assert "_index" not in tables[0].__dict__
    assert "_rows" not in tables[0].__dict__, "rows were made that nobody looks at"


def test_it_takes_no_step_for_a_row_of_a_table_that_stays() -> None:
    def calls(number: int) -> int:
        before = _rows(*((pid, "a", 1) for pid in range(number)), (None, "a", 3))
        now = _rows(*((pid, "a", 2) for pid in range(20, number)), (None, "a", 23))
        tables = _table(before), _table(now)
        return calls_of(lambda: bases(HOOK, *tables)).total()

    assert calls(4000) < calls(1000) + 50
