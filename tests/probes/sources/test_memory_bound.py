"""The bound on memory: what is done at which use."""

from __future__ import annotations

import os

import pytest

from probes.compile.compiler import Compiler
from probes.ladder.row_limit import RowLimit
from probes.sources.live import memory
from probes.sources.live.memory import Bound
from tui.session import own_usage

LIMIT = memory.DEFAULT


def bound(used: int, *, compiling: bool = False) -> tuple[Bound, RowLimit]:
    rows = RowLimit(memory.rows_for(LIMIT))
    return Bound(LIMIT, rows, lambda: used, lambda: compiling), rows


@pytest.fixture(autouse=True)
def _no_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "maps", lambda: 20_000_000)
    monkeypatch.setattr(memory.gc, "collect", int)


def test_rows_are_fewer_where_it_is_tight_and_more_again_where_it_is_not() -> None:
    held, rows = bound(LIMIT)
    most = rows.total
    for _ in range(16):
        held.hold()
    assert rows.total == memory.rows_for(0)
    held, rows = bound(LIMIT // 2)
    rows.total = memory.rows_for(0)
    for _ in range(16):
        held.hold()
    assert rows.total == most


def test_while_it_is_compiled_there_are_no_more_than_the_compiler_leaves() -> None:
    held, rows = bound(LIMIT // 3, compiling=True)
    held.hold()
    assert rows.total == memory.rows_for(LIMIT - memory.COMPILER)


def test_there_is_room_for_the_compiler_where_all_fits_and_rows_make_some() -> None:
    held, rows = bound(LIMIT - memory.COMPILER - 20_000_000)
    assert held.make_room()
    assert rows.total == memory.rows_for(LIMIT - memory.COMPILER)
    held, _ = bound(LIMIT - memory.COMPILER - 19_000_000)
    assert not held.make_room()


def test_a_compile_waits_for_room_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    compiler = Compiler(room=lambda: asked.append(len(asked) == 2) or asked[-1])
    monkeypatch.setattr("probes.compile.compiler.ROOM_PAUSE", 0.0)
    compiler._wait_for_room()
    assert asked == [False, False, True]
    never = Compiler(room=lambda: False)
    monkeypatch.setattr("probes.compile.compiler.ROOM_SECONDS", 0.0)
    never._wait_for_room()
    monkeypatch.setattr("probes.compile.compiler.ROOM_SECONDS", 1e9)
    never.close()
    never._wait_for_room()


def test_one_compile_at_a_time_by_default_and_more_where_there_is_more() -> None:
    assert memory.compiles_for(LIMIT) == 1
    assert memory.compiles_for(10 * LIMIT) > 8


def test_what_is_counted_is_resident_memory_of_all_processes() -> None:
    assert own_usage.memory() >= own_usage._resident(os.getpid()) > 1 << 20
