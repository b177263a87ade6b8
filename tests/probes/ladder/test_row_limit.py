"""What is kept of more rows than there is memory for: the most active, shared out fairly."""

from __future__ import annotations

import random
from collections.abc import Mapping

from probes.columns.row_table import RowTable
from probes.ladder.row_limit import MIN_ROWS, RowLimit
from probes.model import Column, Hook, HookId, Key, Kind, Row
from probes.units import Unit

HOOK = Hook(
    name="a",
    title="A",
    question="?",
    columns=(
        Column("key", "Key", Unit.NUMBER, Kind.KEY, "key", help="?"),
        Column("events", "Events", Unit.COUNT, Kind.COUNTER, "events", help="?"),
    ),
    ladder=(),
)
A, B, C = HookId("a", "x"), HookId("a", "y"), HookId("a", "z")


def _rows(events: Mapping[int, int]) -> dict[Key, Row]:
    return {(key,): (key, many) for key, many in events.items()}


def _kept(limit: RowLimit, id: HookId, events: Mapping[int, int]) -> list[int]:
    return [key for key, _ in limit.fit(id, HOOK, _rows(events)).values()]


def test_nothing_is_left_out_while_there_is_space() -> None:
    assert _kept(RowLimit(1000), A, dict.fromkeys(range(1000), 1)) == list(range(1000))


def test_the_least_active_go_and_the_others_stay_in_their_order() -> None:
    limit = RowLimit(100)
    before = {n: 1000 - n for n in range(300)}
    assert _kept(limit, A, before) == list(range(100)), "at first those with most"
    now = {n: events + (50 if n % 3 == 0 else 0) for n, events in before.items()}
    assert _kept(limit, A, now) == list(range(0, 300, 3)), "then those that do something"


def test_what_is_idle_does_not_take_turns() -> None:
    limit, events = RowLimit(50), {n: 500 - n for n in range(200)}
    assert [_kept(limit, A, events) for _ in range(3)] == [list(range(50))] * 3


def test_long_lists_pay_for_the_bound_and_short_ones_do_not() -> None:
    limit = RowLimit(300)
    counts = {A: 1000, B: 40, C: 500}
    for _ in range(2):
        kept = {
            id: len(_kept(limit, id, dict.fromkeys(range(count), 1)))
            for id, count in counts.items()
        }
    assert kept == {A: 130, B: 40, C: 130}


def test_what_stands_no_more_takes_no_space() -> None:
    limit = RowLimit(100)
    _kept(limit, A, dict.fromkeys(range(90), 1))
    limit.forget(A)
    assert len(_kept(limit, B, dict.fromkeys(range(100), 1))) == 100


def test_each_keeps_some() -> None:
    limit = RowLimit(10)
    for n in range(50):
        assert (
            len(_kept(limit, HookId("a", str(n)), dict.fromkeys(range(100), 1))) >= MIN_ROWS
            or n < 1
        )


def test_columns_are_cut_as_rows_are() -> None:
    """The same of both, also where a table follows rows, and rows a table."""
    dice = random.Random(5)
    rows, tables, mixed = RowLimit(60), RowLimit(60), RowLimit(60)
    events = {n: dice.randrange(5) for n in range(200)}
    for turn in range(8):
        given = _rows(events)
        table = RowTable.of_rows(given.values(), (0,))
        expected = list(rows.fit(A, HOOK, given).items())
        assert len(expected) == 60
        assert list(tables.fit(A, HOOK, table).items()) == expected
        assert list(mixed.fit(A, HOOK, table if turn % 3 else given).items()) == expected
        for n in dice.sample(list(events), 80):
            events[n] += dice.randrange(3)
        del events[next(iter(events))]
        events[1000 + turn] = dice.randrange(9)


def test_counts_that_no_sum_of_64_bits_holds_are_cut_all_the_same() -> None:
    given = _rows({n: 2**63 + n for n in range(100)})
    limit = RowLimit(30)
    assert len(limit.fit(A, HOOK, RowTable.of_rows(given.values(), (0,)))) == 30
    assert len(limit.fit(A, HOOK, given)) == 30
