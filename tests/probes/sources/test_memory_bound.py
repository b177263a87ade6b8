"""The bound on memory: what is done at which use."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import tui.commands
from probes.compile import compiler
from probes.compile.compiler import Compiler
from probes.errors import ProbeError, passing
from probes.ladder.row_limit import RowLimit
from probes.sources.live import memory, room
from probes.sources.live.memory import Bound
from probes.sources.live.room import COMPILER, Room
from tui.session import own_usage

LIMIT = memory.DEFAULT


def bound(used: int, *, growth: int = 0) -> tuple[Bound, RowLimit]:
    rows = RowLimit(memory.rows_for(LIMIT))
    return Bound(LIMIT, rows, lambda: used, lambda: growth), rows


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often all objects were looked at; maps take 20 MB."""
    collected: list[int] = []
    monkeypatch.setattr(memory, "maps", lambda: 20_000_000)
    monkeypatch.setattr(memory, "Maps", lambda: memory.maps)
    monkeypatch.setattr(memory.gc, "collect", lambda: collected.append(1) or 0)
    return collected


@pytest.mark.usefixtures("collected")
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


@pytest.mark.usefixtures("collected")
def test_while_it_is_compiled_there_are_no_more_than_the_compiler_leaves() -> None:
    held, rows = bound(LIMIT // 3, growth=1)
    held.hold()
    assert rows.total == memory.rows_for(LIMIT - COMPILER)
    held, rows = bound(LIMIT // 2, growth=COMPILER)
    before = rows.total
    held.hold()
    assert rows.total < before, "it may yet take more than there is"


@pytest.mark.usefixtures("collected")
def test_there_is_room_for_the_compiler_where_all_fits_and_rows_make_some() -> None:
    held, _ = bound(LIMIT - COMPILER - 20_000_000)
    assert held.room.make()
    held, rows = bound(LIMIT - COMPILER - 19_000_000)
    assert not held.room.make()
    assert rows.total == memory.rows_for(LIMIT - COMPILER)
    held, _ = bound(LIMIT - COMPILER - 20_000_000, growth=1)
    assert not held.room.make(), "another one is there, and grows"


@pytest.mark.usefixtures("collected")
def test_without_room_for_it_rows_go_as_long_as_it_is_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held, rows = bound(LIMIT // 2)
    monkeypatch.setattr(room, "ROOM_WAIT", 0.0)
    with pytest.raises(ProbeError):
        held.room.make()
    for _ in range(16):
        held.hold()
    assert rows.total == memory.rows_for(0)
    monkeypatch.setattr(room, "WANTED", 0.0)
    with pytest.raises(ProbeError):
        held.room.make()
    for _ in range(16):
        held.hold()
    assert rows.total == memory.rows_for(LIMIT)


def test_however_often_room_is_asked_for_there_are_few_pauses_for_it(collected: list[int]) -> None:
    held, _ = bound(LIMIT)
    for _ in range(50):
        held.room.make()
        held.hold()
    assert sum(collected) == 1


def test_where_nothing_is_to_be_had_by_it_there_are_fewer_and_fewer_pauses(
    collected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(memory, "time", SimpleNamespace(monotonic=lambda: now[0]))
    held, _ = bound(LIMIT)
    for _ in range(600):
        now[0] += 1.0
        held.hold()
    assert 10 < len(collected) < 20, "twice as long each time, then one a minute"


# -- room for the compiler -------------------------------------------------------------------


def test_a_compile_without_room_is_refused_and_says_what_to_do() -> None:
    asked = Room(LIMIT, lambda: 150_000_000, lambda: None)
    begun = time.monotonic()

    def ask() -> None:
        while not asked.make():
            time.sleep(0.05)

    with pytest.raises(ProbeError) as refused:
        ask()
    assert room.ROOM_WAIT <= time.monotonic() - begun < compiler.ROOM_SECONDS
    assert refused.value.why == (
        "there is no room for the compiler: 150 MB are in use, it needs 90 MB more, and the limit "
        "is 200 MB; ebpftop tries again when there is room"
    )
    assert refused.value.remedy == "Allow more: --memory 300."
    assert passing(refused.value), "so that it is tried again"
    with pytest.raises(ProbeError):
        asked.make()  # nobody waits for it twice


def test_room_that_comes_is_taken() -> None:
    used, gives = [160_000_000], []

    def give_back() -> None:
        gives.append(1)
        used[0] -= 20_000_000

    asked = Room(LIMIT, lambda: used[0], give_back)
    assert [asked.make() for _ in range(4)] == [False, False, False, True]
    assert len(gives) == 3
    assert not asked.wanted


def test_nobody_waits_for_longer_as_somebody_else_gave_up_waiting() -> None:
    asked = Room(LIMIT, lambda: LIMIT, lambda: None)
    assert not asked.make()
    assert asked.wanted
    asked._asked -= 100.0
    asked._waiting_since -= 100.0
    assert not asked.wanted
    assert not asked.make()


def test_a_compile_waits_for_room_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    compiling = Compiler(room=lambda: asked.append(len(asked) == 2) or asked[-1])
    monkeypatch.setattr("probes.compile.compiler.ROOM_PAUSE", 0.0)
    compiling._wait_for_room()
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


def test_every_command_counts_what_its_children_take() -> None:
    """Else the compiler would have room that is not there."""
    made = re.compile(r"Live\(\n(.*?)\n\s*\)\n", re.DOTALL)
    commands = Path(tui.commands.__file__).parent
    found = [call for file in commands.glob("*.py") for call in made.findall(file.read_text())]
    assert len(found) >= 3
    assert all("used=own_usage.memory" in call for call in found)


def test_the_maps_of_many_cpus_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else nothing would be left for rows."""
    bounds = {}
    for cpus in (0, 2, 32, 64, 1024):
        monkeypatch.setattr(memory.expected, "cpus", lambda cpus=cpus: cpus)
        bounds[cpus] = memory.default()
    assert bounds[0] == bounds[2] == bounds[32] == memory.DEFAULT
    assert bounds[64] == memory.DEFAULT + 64_000_000
    for cpus in (64, 1024):
        monkeypatch.setattr(memory.expected, "cpus", lambda cpus=cpus: cpus)
        assert bounds[cpus] - memory.expected.memory() - 92_000_000 > 20_000_000
