"""The clock is put back or forth while it is recorded: moments stay in turn, and are all found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from probes.hooks import catalogue
from probes.recording import reader
from probes.recording.reader import Recording
from probes.recording.tape import KEY_EVERY, Timeline
from tests.support import clocks
from tests.support.recordings import record

BEGIN, HOUR = 1_767_312_000.0, 3600
STEPS = {
    "back": [BEGIN + n - HOUR * (n >= 60) for n in range(150)],
    "forth": [BEGIN + n + HOUR * (n >= 60) for n in range(150)],
    "back and forth": [BEGIN + n - HOUR * (60 <= n < 70) for n in range(150)],
    "to another year": [n if n < 60 else BEGIN + n for n in range(150)],
}


@contextmanager
def _timeline(kind: str, walls: list[float], folder: Path) -> Iterator[Timeline]:
    if kind == "tape":
        yield clocks.tape(walls)
        return
    whole = kind == "recording"
    path = record(folder / "r.ebpftop", clocks.moments(walls), whole=whole)
    with closing(Recording(path, catalogue(), lambda _: None)) as played:
        yield played


@pytest.mark.parametrize("kind", ["tape", "recording", "torn recording"])
@pytest.mark.parametrize("walls", STEPS.values(), ids=STEPS)
def test_seconds_are_those_that_passed(kind: str, walls: list[float], tmp_path: Path) -> None:
    with _timeline(kind, walls, tmp_path) as timeline:
        assert [timeline.clock(n) - timeline.clock(0) for n in range(150)] == pytest.approx(
            range(150)
        )
        assert [timeline.away(100, by) for by in (-90, -45.5, 0, 30, 99)] == [10, 54, 100, 130, 149]
        assert [n for n, _ in timeline.window(100)] == list(range(89, 101))
        assert [next(timeline.near(wall), 0) for wall in walls[:60]] == list(range(60))


def test_a_time_that_came_twice_is_found_twice(tmp_path: Path) -> None:
    walls = [BEGIN + n - 40 * (n >= 60) for n in range(150)]
    with _timeline("recording", walls, tmp_path) as timeline:
        assert list(timeline.near(BEGIN + 30)) == [30, 70]
        assert list(timeline.near(BEGIN + 10.5)) == [10]
        assert next(timeline.near(BEGIN - 5), 0) == 0
        assert next(timeline.near(BEGIN + 500), 0) == 149


def test_a_clock_that_is_put_forth_throws_nothing_out() -> None:
    """And put back it keeps no more than the last minutes."""
    assert len(clocks.tape(STEPS["forth"])) == 150
    walls = [BEGIN + n - HOUR * (n >= 60) for n in range(600)]
    assert len(clocks.tape(walls, seconds=120)) <= 120 + 2 * KEY_EVERY


def test_where_much_is_in_them_only_some_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock jumps at each moment, and to ask all takes long: then the index is believed."""
    walls = [BEGIN + n * HOUR * (n % 2) for n in range(40)]
    path = record(tmp_path / "r", clocks.moments(walls))
    for most, asked in ((1, 2), (1 << 30, 2 * reader._MOST_JUMPS)):
        monkeypatch.setattr(reader, "MOST_SOUGHT", most)
        with closing(Recording(path, catalogue(), lambda _: None)) as played:
            seen, at = set[int](), played.at
            monkeypatch.setattr(played, "at", lambda n, at=at, seen=seen: (seen.add(n), at(n))[1])
            assert played.clock(39) > 0
            assert asked / 2 <= len(seen) <= asked


def test_moments_far_apart_are_taken_for_what_they_are(tmp_path: Path) -> None:
    """A minute apart, and an hour in which nothing was recorded."""
    ticks = clocks.moments([BEGIN + n for n in range(9000)])
    sparse = [*ticks[:600:60], *ticks[4200:4800:60]]
    with closing(Recording(record(tmp_path / "r", sparse), catalogue(), lambda _: None)) as played:
        passed = [60 * n for n in range(10)] + [4200 + 60 * n for n in range(10)]
        assert [played.clock(n) for n in range(20)] == pytest.approx(passed)
