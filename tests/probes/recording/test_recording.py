"""Recordings on disk: written as they come, whole whatever ends them; the rest is a sentence."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.busy_host import Host as BusyHost
from probes.hooks import catalogue
from probes.model import Column, Cost, Hook, HookId, Kind, Rung, Sample, State, Status
from probes.recording.encoder import Encoder, Tick
from probes.recording.reader import Recording
from probes.recording.tape import Tape
from probes.recording.writer import RecordingError, RecordingFile
from probes.source import Host
from probes.toolkit.readers import by_columns
from tests.support.amounts import amounts
from tests.support.recordings import HOST, demo_ticks, record


def _check(path: Path, ticks: list[Tick]) -> None:
    played = Recording(path, catalogue())
    assert [played.at(n) for n in range(played.first, played.end)] == ticks
    assert played.host == HOST
    played.close()


async def test_what_is_written_is_read(tmp_path: Path) -> None:
    ticks = await demo_ticks(70)
    path = record(tmp_path / "a", ticks)
    _check(path, ticks)
    tape = Tape(catalogue())
    for tick in ticks:
        tape.add(tick)
    played = Recording(path, catalogue())
    assert not played.note
    assert played.moments() == tape.moments()
    assert played.marks() == tape.marks()
    for n in (69, 0, 60, 30):
        assert played.snapshots(n) == tape.snapshots(n)
        assert played.since(n) == tape.since(n)


def test_what_was_slowed_what_maps_take_and_what_is_in_no_log_or_was_left_out_is_kept(
    tmp_path: Path,
) -> None:
    """Also where a sample has no cost in between, as while nobody counts."""
    costs = (Cost(1, 2, 4096), Cost(3, 4, 4096), None, Cost(5, 6, 4096), Cost(7, 8), Cost(9, 9, 0))
    ticks = []
    for second, (cost, one_in) in enumerate(zip(costs, (1, 1, 16, 16, 1024, 1), strict=True)):
        status = Status(HookId("drops"), State.ATTACHED, "raw-tracepoint", (), "", True, one_in)
        unlogged = (0, 7, 7, 300, 0, 2**40)[second]
        sample = Sample(
            status, second, 1e9 + second, cost=cost, unlogged=unlogged, forgotten=second // 2
        )
        ticks.append(Tick(1e9 + second, 1.0, {"drops": (sample,)}, (status,)))
    _check(record(tmp_path / "a", ticks), ticks)


@amounts("step", quick=61, slow=7)
async def test_one_that_was_cut_off_anywhere_opens_up_to_its_last_whole_moment(
    tmp_path: Path, step: int
) -> None:
    ticks = await demo_ticks(6, hooks=("drops", "tcp-connect"))
    whole = record(tmp_path / "whole", ticks).read_bytes()
    path, before = tmp_path / "cut", 0
    for length in sorted({*range(0, len(whole), step), *range(len(whole) - 100, len(whole))}):
        path.write_bytes(whole[:length])
        try:
            played = Recording(path, catalogue())
        except RecordingError:
            assert not before, "there is a whole moment in it"
            continue
        assert "last complete moment" in played.note
        assert before <= played.end <= 6
        before = played.end
        assert [played.at(n) for n in range(played.end)] == ticks[: played.end]
        played.close()
    assert before == 6


async def test_a_moment_is_in_the_file_once_it_is_written(tmp_path: Path) -> None:
    ticks = await demo_ticks(5)
    tape = Tape(catalogue())
    file = RecordingFile(tmp_path / "a", HOST, catalogue())
    for n, tick in enumerate(ticks, 1):
        file.write(tape.add(tick))
        played = Recording(tmp_path / "a", catalogue())
        assert played.end == n
        assert "still being recorded" in played.note
        played.close()
    file.close()
    _check(tmp_path / "a", ticks)


async def test_a_tape_is_saved_and_recorded_on_from_any_moment(tmp_path: Path) -> None:
    ticks = await demo_ticks(30)
    tape = Tape(catalogue())
    for tick in ticks[:20]:
        tape.add(tick)
    saved = RecordingFile(tmp_path / "saved", HOST, catalogue())
    for frame in tape.frames():
        saved.write(frame)
    saved.close()
    _check(tmp_path / "saved", ticks[:20])
    tape.cut()
    later = RecordingFile(tmp_path / "later", HOST, catalogue())
    for tick in ticks[20:]:
        later.write(tape.add(tick))
    later.close()
    _check(tmp_path / "later", ticks[20:])


async def test_the_file_is_the_user_s_alone_and_no_other_is_lost(tmp_path: Path) -> None:
    path = record(tmp_path / "a", await demo_ticks(2))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    with pytest.raises(RecordingError, match="is there already; --force"):
        RecordingFile(path, HOST, catalogue())
    assert path.read_bytes() == before
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RecordingError, match="is a link, and is not overwritten"):
        RecordingFile(tmp_path / "link", HOST, catalogue())
    notes = tmp_path / "notes"
    notes.write_text("mine")
    with pytest.raises(RecordingError, match="is not a recording, and is not overwritten"):
        RecordingFile(notes, HOST, catalogue(), force=True)
    assert notes.read_text() == "mine"
    file = RecordingFile(path, HOST, catalogue(), force=True)
    with pytest.raises(RecordingError, match="being recorded at the moment"):
        RecordingFile(path, HOST, catalogue(), force=True)
    file.close()
    assert path.read_bytes() == before, "there was no moment to lose it for"
    assert {p.name for p in tmp_path.iterdir()} == {"a", "link", "notes"}


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="is a directory"):
        RecordingFile(tmp_path, HOST, catalogue())
    with pytest.raises(RecordingError, match="cannot be written: No such file or directory"):
        RecordingFile(tmp_path / "none" / "a", HOST, catalogue())


WRITES = """
import asyncio, sys
from pathlib import Path
from probes.hooks import catalogue
from probes.recording.writer import RecordingError, RecordingFile
from probes.recording.tape import Tape
from tests.support.recordings import HOST, demo_ticks
tape, file = Tape(catalogue()), RecordingFile(Path(sys.argv[1]), HOST, catalogue())
try:
    for tick in asyncio.run(demo_ticks(90)):
        file.write(tape.add(tick))
except RecordingError as said:
    file.close()
    print(file.moments, said)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
async def test_a_full_disk_ends_it_at_the_last_whole_moment(tmp_path: Path) -> None:
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    script = (
        f"mount -t tmpfs -o size=64k none {disk} && {sys.executable} -c '{WRITES}' {disk}/a"
        f" && cp {disk}/a {kept}"
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=True
    )
    number, said = done.stdout.split(" ", 1)
    assert 0 < int(number) < 90
    assert said.strip().endswith(
        f"the disk is full: the recording ends after {number} moments, which can be replayed"
    )
    _check(kept, (await demo_ticks(90))[: int(number)])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a recording of ebpftop"),
        (b"\x1f\x8b\x08whatever this is, it is compressed", "is not a recording of ebpftop"),
        (b"ebpftop-recording/7\n\0\0", "newer ebpftop .format 7, this one reads 2."),
        (b"ebpftop-recording/\n", "is not a recording"),
        (b"ebpftop-recording/1\n", "damaged at its beginning"),
        (b"ebpftop-recording/1\nH\xff\xff\xff\xff\0\0\0\0", "damaged at its beginning"),
    ],
)
def test_a_foreign_newer_or_damaged_file_is_said_in_a_sentence(
    tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(RecordingError, match=said):
        Recording(tmp_path / "a", catalogue())


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, said in (
        (tmp_path, "is a directory, and not a recording"),
        (tmp_path / "none", "cannot be read: No such file"),
        (tmp_path / "pipe", "is not a regular file"),
        (Path("/dev/null"), "is not a regular file"),
    ):
        with pytest.raises(RecordingError, match=said):
            Recording(path, catalogue())


def _hook(name: str, *columns: Column) -> Hook:
    return Hook(name, name, "", columns, (Rung("netlink", "", by_columns("rows")),))


_KEY = Column("name", "Name", kind=Kind.KEY)
_OLD = _hook(
    "mixed",
    _KEY,
    Column("gone", "Gone", kind=Kind.LEVEL),
    _count := Column("count", "Count", unit="count", kind=Kind.COUNTER),
)  # type: ignore[arg-type]
_NEW = _hook("mixed", _count, Column("new", "New"), _KEY)


def test_columns_are_found_by_name_whatever_version_wrote_them(tmp_path: Path) -> None:
    status = Status(HookId("mixed"), State.PASSIVE, "netlink")
    other = Status(HookId("other"), State.PASSIVE, "netlink")
    rows = {("a",): ("a", "x", 7), ("b",): ("b", "y", "no number")}
    tick = Tick(
        1e9, 1.0,
        {"mixed": (Sample(status, 5, 1e9, rows=rows),), "other": (Sample(other, 5, 1e9),)},
        (status, other),
    )  # fmt: skip
    hooks = {"mixed": _OLD, "other": _hook("other", _KEY)}
    tape = Tape(hooks)
    file = RecordingFile(tmp_path / "a", HOST, hooks)
    file.write(tape.add(tick))
    file.close()
    played = Recording(tmp_path / "a", {"mixed": _NEW})
    (sample,) = played.at(0).samples["mixed"]
    assert sample.rows == {("a",): (7, None, "a"), ("b",): (None, None, "b")}
    assert played.at(0).statuses == (status,)
    assert played.note == "This program does not know other."
    assert [*played.hooks] == ["mixed"]


def test_an_hour_of_a_busy_host_is_small(tmp_path: Path) -> None:
    """Two minutes of it, which the rest is like (`make bench` measures the hour)."""
    path = record(tmp_path / "a", BusyHost().ticks(120))
    assert path.stat().st_size * 30 < 30e6


async def test_who_it_is_from_is_kept(tmp_path: Path) -> None:
    host = Host("db\x1b[7m", "6.1", "sudo would give more")
    path = record(tmp_path / "a", await demo_ticks(1), host=host)
    played = Recording(path, catalogue())
    assert played.host == replace(host, name="db?[7m"), "but for what no terminal should get"


def test_frames_of_the_encoder_do_not_depend_on_chance() -> None:
    frames = [
        [e.encode(t, key=n == 0) for n, t in enumerate(BusyHost(30, 3).ticks(3))]
        for e in (Encoder(catalogue()), Encoder(catalogue()))
    ]
    assert frames[0] == frames[1]
