"""Many destinations as columns are completed as rows are, one by one."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

import pytest

from bench.path import Tables, rung_of
from probes.columns.cells import cells_of
from probes.columns.row_table import ColumnRows
from probes.hooks import catalogue
from probes.hooks.tcp_connect.columns import completed
from probes.hooks.tcp_connect.readers import FAILURES
from probes.hooks.tcp_connect.waiting import LATE_NS, NOBODY, Waiting
from probes.model import Column, Kind, Row, Value
from tests.support.odd_values import attached

UNDER_WAY = ("pending", "late", "oldest_ns", "via")
KEYS = ("pid", "comm", "raddr", "rport")
COUNTERS = ("connects", "established", "failed", *FAILURES)
COLUMNS = (
    *(Column(name, name, kind=Kind.KEY) for name in KEYS),
    *(Column(name, name, kind=Kind.COUNTER) for name in COUNTERS),
    *(Column(name, name, kind=Kind.LEVEL) for name in UNDER_WAY),
)


def _rows(dice: random.Random) -> list[Row]:
    def count() -> Value:
        return dice.choice((0, 0, 0, 1, 7, None))

    keys = [(n % 40, f"w{n % 3}", f"10.0.0.{n % 7}", n) for n in range(200)]
    return [(*key, count(), count(), None, *(count() for _ in FAILURES), None, None, None, None)
            for key in [*keys, (None, "w1", "10.0.0.1", 5)]]  # fmt: skip


def _one_by_one(rows: list[Row], waiting: Waiting) -> list[Row]:
    made = []
    missing = [who for who in waiting if who not in {row[:4] for row in rows}]
    empty = (*(0,) * len(COUNTERS), *(None,) * len(UNDER_WAY))
    empty = (*(0,) * len(COUNTERS), *(None,) * len(UNDER_WAY))
    for row in [*rows, *((*who, *empty) for who in missing)]:
        values = dict(zip((*KEYS, *COUNTERS, *UNDER_WAY), row, strict=True))
        values["failed"] = sum(n for f in FAILURES if isinstance(n := values[f], int))
        values.update(zip(UNDER_WAY, waiting.get(row[:4], NOBODY).told(), strict=True))
        if any(values[name] for name in ("connects", "established", "failed", "pending")):
            made.append(tuple(values.values()))
    return made


@pytest.mark.parametrize("seed", range(5))
def test_what_failed_and_what_is_under_way_is_the_same(seed: int) -> None:
    dice = random.Random(seed)
    rows = _rows(dice)
    waiting: Waiting = {}
    for who in [*(row[:4] for row in dice.choices(rows, k=30)), (9999, "nobody", "::", 1)]:
        one = waiting.get(who, NOBODY).and_one(dice.randrange(2 * LATE_NS))
        waiting[who] = one._replace(via=dice.choice(("", "eth0", "wan0")))
    given = ColumnRows([cells_of(column) for column in zip(*rows, strict=True)])
    made = completed(given, COLUMNS, FAILURES, waiting)
    assert made is not None
    assert list(made) == _one_by_one(rows, waiting)
    assert list(completed(given, COLUMNS, FAILURES, {}) or ()) == _one_by_one(rows, {})


def test_numbers_that_are_too_large_are_left_to_the_rows() -> None:
    rows = [(1, "a", "::", 1, 1 << 62, 0, None, *(0 for _ in FAILURES), *(None,) * len(UNDER_WAY))]
    given = ColumnRows([cells_of(column) for column in zip(*rows, strict=True)])
    assert completed(given, COLUMNS, FAILURES, {}) is None


def test_attempts_without_a_row_in_the_map_are_told_as_beside_few() -> None:
    with ExitStack() as open_now:
        listener = open_now.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1))
        for _ in range(5):
            one = open_now.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        place = listener.getsockname()
        few, many = _waiting_at(place, 1), _waiting_at(place, 1000)
    assert few == many
    assert sum(pending for *_, pending in many) == 3


def _waiting_at(place: tuple[str, int], rows: int) -> list[tuple[Value, ...]]:
    """What is said of connects to a place that hang, where the map has so many rows."""
    hook, tables = catalogue()["tcp-connect"], Tables(rows)
    attachment = attached(hook, rung_of(hook), random.Random(0), tables.one)
    try:
        tables.read()
        sample = attachment.read()
    finally:
        attachment.detach()
    names = [column.name for column in hook.stored]
    found = [dict(zip(names, row, strict=True)) for row in sample.rows.values()]
    return [
        tuple([row[name] for name in (*KEYS, "connects", "failed", "pending")])
        for row in found
        if (row["raddr"], row["rport"]) == place
    ]
