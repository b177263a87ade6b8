"""Files that tell of memory: read as they are, and as nothing where they are not there."""

from __future__ import annotations

from pathlib import Path

from probes.kernel import pressure

PSI = """some avg10=12.50 avg60=3.00 avg300=1.00 total=1234567
full avg10=2.00 avg60=0.50 avg300=0.10 total=234567
"""


def test_times_are_in_nanoseconds(tmp_path: Path) -> None:
    file = tmp_path / "memory.pressure"
    file.write_text(PSI)
    assert pressure.of(file) == (1_234_567_000, 234_567_000, 12.5)
    file.write_text("some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n")
    assert pressure.of(file) == (7_000, 0, 0.0)


def test_a_kernel_without_it_tells_nothing(tmp_path: Path) -> None:
    file = tmp_path / "memory.pressure"
    assert pressure.of(file) is None
    for text in ("", "some\n", "no such thing\n"):
        file.write_text(text)
        told = pressure.of(file)
        assert told is None or told == (0, 0, 0.0)


def test_numbers_by_their_whole_name(tmp_path: Path) -> None:
    file = tmp_path / "memory.events"
    file.write_text("low 1\nhigh 2\nmax 3\noom 4\noom_kill 5\noom_group_kill 6\n")
    assert pressure.numbers(file, "oom", "oom_kill", "x") == {"oom": 4, "oom_kill": 5}
    file.write_text("MemTotal:       24683700 kB\nMemFree:  1 kB\n")
    assert pressure.numbers(file, "MemTotal") == {"MemTotal": 24683700}
    assert pressure.numbers(tmp_path / "gone", "oom") == {}


def test_no_limit_is_no_number(tmp_path: Path) -> None:
    file = tmp_path / "memory.max"
    file.write_text("max\n")
    assert pressure.number(file) is None
    file.write_text("1048576\n")
    assert pressure.number(file) == 1048576
