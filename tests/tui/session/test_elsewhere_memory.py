"""What is read elsewhere, a recording or another host, is kept within --memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from probes.hooks import catalogue
from probes.ladder.row_limit import MIN_ROWS
from probes.model import HookId, Sample, State, Status
from probes.recording.encoder import Tick
from probes.sources.live import memory
from probes.sources.memory_keeper import MemoryKeeper
from probes.sources.row_room import RowRoom
from tests.support import crowded
from tests.support.calls_made import calls_made

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["play", "hear"])
def test_rows_that_come_and_go_take_no_more_than_the_bound(how: str, tmp_path: Path) -> None:
    """Thousands of them, with histograms, half of which are new each second."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.crowded", how, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    megabytes, moments, most, left_out = map(int, done.stdout.split())
    assert megabytes << 20 < memory.DEFAULT
    assert moments == crowded.TICKS
    assert most + left_out == crowded.ROWS, "their number is shown"


def _tick(name: str, rows: int, *, samples: int = 1, times: int = 1) -> Tick:
    """Rows that count `times` their number, the last one most."""
    hook = catalogue()[name]
    found = []
    for target in range(samples):
        made = [
            tuple([n * times if c.unit != "" else f"{c.name}{n}" for c in hook.stored])
            for n in range(rows)
        ]
        status = Status(HookId(name, f"if{target}"), State.ATTACHED)
        found.append(Sample(status, times, times, 1, {row: row for row in made}))
    return Tick(times, 1.0, {name: tuple(found)}, ())


def test_the_most_active_rows_are_kept_and_the_others_counted() -> None:
    room = RowRoom(lambda _: 100)
    first, then = _tick("sources", 1000), _tick("sources", 1000, times=2)
    room.tick(first, catalogue())
    (kept,) = room.tick(then, catalogue()).samples["sources"]
    (whole,) = then.samples["sources"]
    assert list(kept.rows.values()) == list(whole.rows.values())[-100:]
    assert kept.forgotten == 900


def test_what_was_not_read_again_is_the_same_object() -> None:
    room, tick = RowRoom(lambda _: 100), _tick("sources", 1000)
    before = room.tick(tick, catalogue()).samples["sources"]
    after = room.tick(Tick(2, 1.0, {**tick.samples}, ()), catalogue()).samples["sources"]
    assert after is before
    small = _tick("sources", 50)
    assert RowRoom(lambda _: 100).tick(small, catalogue()).samples == small.samples


def test_lists_of_any_length_share_the_room() -> None:
    room, hooks = RowRoom(lambda _: 1000), catalogue()
    long, short = _tick("sources", 5000), _tick("protocols", 200, samples=2)
    (first,), others = room.tick(
        Tick(1, 1.0, {**long.samples, **short.samples}, ()), hooks
    ).samples.values()
    assert len(first.rows) == 600
    assert [len(s.rows) for s in others] == [200, 200]
    many = room.tick(_tick("sources", 30, samples=100), hooks).samples["sources"]
    assert {len(s.rows) for s in many} == {MIN_ROWS}


def test_thousands_of_targets_cost_no_more_than_their_rows() -> None:
    calls = {
        n: calls_made(
            lambda n=n: RowRoom(lambda _: 50).tick(_tick("sources", 1, samples=n), catalogue())
        )  # type: ignore[misc]
        for n in (500, 4000)
    }
    assert calls[4000] < 10 * calls[500]


def test_the_larger_a_moment_is_to_read_the_fewer_rows_are_kept() -> None:
    fits = MemoryKeeper(memory.DEFAULT, lambda: 0).share()
    assert fits(0) == memory.rows_for(memory.DEFAULT)
    assert fits(50_000_000) == memory.rows_for(memory.DEFAULT - 50_000_000)
    assert fits(memory.DEFAULT) == memory.rows_for(0)


def test_several_hosts_share_it() -> None:
    keeper = MemoryKeeper(memory.DEFAULT, lambda: 0)
    one, other = keeper.share(), keeper.share()
    assert one(0) == other(0) == memory.rows_for(memory.DEFAULT) // 2
    assert one(30_000_000) == other(0) == memory.rows_for(memory.DEFAULT - 30_000_000) // 2


def test_what_is_really_used_lowers_it() -> None:
    keeper = MemoryKeeper(memory.DEFAULT, lambda: memory.DEFAULT)
    fits = keeper.share()
    before = fits(0)
    keeper.hold()
    fewer = fits(0)
    assert fewer < before * 0.75, "as it is far beyond"
    keeper.hold_now_and_then()  # that was just done
    assert fits(0) == fewer
