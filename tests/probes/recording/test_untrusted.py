"""What comes from elsewhere is printable once it is decoded, bounded, and asks nothing here."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pytest

from probes.analysis.snapshot import Trail, WindowRoom
from probes.hooks import catalogue
from probes.model import Hook, HookId, Sample, State, Status
from probes.recording import compat, reader
from probes.recording.bookmarks import Moment
from probes.recording.codec import MOST_CELLS, Malformed, Reader, cells_for
from probes.recording.decoder import Decoder
from probes.recording.encoder import Encoder, Layout, Tick
from probes.recording.index import Moments
from probes.recording.reader import Recording
from probes.recording.tape import Tape
from probes.recording.writer import RecordingError, RecordingFile
from probes.source import Host
from probes.sources.replay import Replay
from tests.support import large_moments, warm
from tests.support.hostile import HARM, bad_files, spoiled
from tests.support.recordings import HOST, demo_ticks, record
from tui import cli

ROOT = Path(__file__).parents[3]
SLOW, LARGE = 10.0, 200
"""Seconds (it takes less than one on an idle machine) and MB."""


def _texts(value: object) -> Iterator[str]:
    """Every text that is anywhere in it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for pair in value.items():
            yield from _texts(list(pair))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _texts(getattr(value, field.name))


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    ticks = asyncio.run(demo_ticks(6, 38))
    host = Host(f"web1{HARM}", f"6.12{HARM}", f"sudo{HARM}", demo=True)
    return record(tmp_path / "evil.rec", map(spoiled, ticks), host=host)


def test_every_text_of_a_recording_is_printable(evil: Path) -> None:
    played = Recording(evil, catalogue())
    ticks = [played.at(n) for n in (*range(played.end), 0)]
    everything = [*_texts([played.host, played.note, played.moments(), ticks])]
    assert len(everything) > 1000
    for text in everything:
        assert text.isprintable()
    assert any("SU5K" in text for text in everything), "it is there, but for what does harm"


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_what_is_printed_of_it_is_harmless(
    form: str, evil: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["replay", str(evil), "--format", form]) == 0
    said = capsys.readouterr()
    text = said.out + said.err
    assert "SU5K" in text
    assert text.replace("\n", "").isprintable()


def test_a_verifiers_words_keep_their_lines(tmp_path: Path) -> None:
    (tick,) = asyncio.run(demo_ticks(1))
    refused = replace(spoiled(tick).statuses[0].refused[0], log="0: r1\tr2\n1: exit\x1b[2J\n")
    status = replace(tick.statuses[0], refused=(refused,))
    played = Recording(record(tmp_path / "a", [replace(tick, statuses=(status,))]), catalogue())
    assert played.at(0).statuses[0].refused[0].log == "0: r1?r2\n1: exit?[2J"


def test_rows_that_differ_in_what_nobody_sees_stay_two() -> None:
    """In each frame, whatever came before: two processes may be called so."""
    hook = catalogue()["sent"]
    layout = Layout.of(hook)
    text = layout.keys[-1]

    def row(name: str, count: int) -> tuple[object, ...]:
        values: list[object] = [0] * len(layout.names)
        for i in layout.keys:
            values[i] = 1
        values[text] = name
        values[-1] = count
        return tuple(values)

    encoder, decoder = Encoder({hook.name: hook}), Decoder()
    for n in range(1, 5):
        rows = [row(name, n * k) for k, name in enumerate(("a\x01", "a\x02", "a?", "b")[:n], 1)]
        keyed = {tuple([r[i] for i in layout.keys]): r for r in rows}
        status = Status(HookId(hook.name), State.ATTACHED, "best")
        sample = Sample(status, float(n), float(n), rows=keyed)  # type: ignore[arg-type]
        tick = Tick(float(n), 1.0, {hook.name: (sample,)}, (status,))
        found = decoder.decode(encoder.encode(tick, key=n == 1), key=n == 1)
        (given,) = found.samples[hook.name]
        assert [r[-1] for r in given.rows.values()] == [r[-1] for r in rows]
        assert [r[text] for r in given.rows.values()] == ["a?", "a?", "a?", "b"][:n]
        assert all(t.isprintable() for t in _texts(list(given.rows)))


@pytest.mark.parametrize("kind", bad_files())
def test_opening_a_file_is_quick_and_small(kind: str, tmp_path: Path) -> None:
    """Whatever is in it; in a process of its own."""
    path = tmp_path / "bad.rec"
    path.write_bytes(bad_files()[kind]())
    done = warm.run(f"from tests.support import hostile\nhostile.main(['open', {str(path)!r}])")
    assert done.returncode == 0, done.stderr
    seconds, megabytes, _ = done.stdout.split(maxsplit=2)
    assert float(seconds) < SLOW
    assert int(megabytes) < LARGE


@pytest.mark.slow
@pytest.mark.parametrize("kind", large_moments.KINDS)
def test_playing_takes_little_memory(kind: str, tmp_path: Path) -> None:
    """However large its moments are; what does not fit is not read."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.large_moments", "play", kind, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    megabytes, played = map(int, done.stdout.split())
    assert megabytes < LARGE
    if "than fit" in kind or kind == "nothing between":
        assert not played
    else:
        assert played


@pytest.mark.slow
@pytest.mark.parametrize("kind", large_moments.KINDS)
def test_another_host_takes_little_memory(kind: str, tmp_path: Path) -> None:
    """Whatever it says, over and over."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.large_moments", "hear", kind, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    megabytes, came = map(int, done.stdout.split())
    assert megabytes < LARGE
    assert bool(came) is ("than fit" not in kind and kind != "nothing between")


def test_more_memory_holds_larger_moments(tmp_path: Path) -> None:
    """--memory, as it was given where it was recorded."""
    path = tmp_path / "large"
    path.write_bytes(large_moments.KINDS["more histograms than fit"]())
    with pytest.raises(Malformed, match="--memory"):
        Recording(path, catalogue()).at(0)
    with pytest.raises(RecordingError, match="more memory than --memory allows"):
        Replay(Recording(path, catalogue()))
    assert Recording(path, catalogue(), cells=cells_for(1_000_000_000)).at(0).samples


def test_what_cannot_be_read_at_all_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And exit status 2, however many moments there are."""
    path = tmp_path / "bad.rec"
    path.write_bytes(bad_files()["all damaged"]())
    assert cli.main(["replay", str(path), "--format", "table"]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert said.err.count("\n") == 1
    assert "nothing from that time can be read" in said.err


def test_times_that_cannot_be_are_damage() -> None:
    """Not a number, endless, before 1970, far away; intervals, too."""
    good = asyncio.run(demo_ticks(1))[0]
    encoder = Encoder(catalogue())
    for wrong in (float("nan"), float("inf"), 1e300, -1.0):
        for tick in (replace(good, wall=wrong), replace(good, interval=wrong)):
            with pytest.raises(Malformed):
                Decoder().decode(encoder.encode(tick, key=True), key=True)
    for interval in (0.0, 5e-324):
        with pytest.raises(Malformed):
            Decoder().decode(encoder.encode(replace(good, interval=interval), key=True), key=True)


def test_times_in_any_order_are_played(tmp_path: Path) -> None:
    ticks = asyncio.run(demo_ticks(30, 0, hooks=("interfaces",)))
    walls = [t.wall for t in ticks]
    mixed = [replace(t, wall=w) for t, w in zip(ticks, walls[10:] + walls[:10], strict=True)]
    played = Recording(record(tmp_path / "a", mixed), catalogue())
    for n in (29, 0, 10, 9, 20):
        assert played.snapshots(n)
    same = [replace(t, wall=walls[0]) for t in ticks]
    played = Recording(record(tmp_path / "b", same), catalogue())
    assert next(played.near(walls[0]), 0) == 29
    assert played.snapshots(29)


def test_no_jump_decodes_more_than_a_tape_has_between_two_whole_moments(tmp_path: Path) -> None:
    """The writer begins anew every 45 moments: what never does is not followed for ever."""
    (tick,) = asyncio.run(demo_ticks(1, hooks=("interfaces",)))
    tape = Tape(catalogue())
    frames = [tape.add(replace(tick, wall=tick.wall + n)) for n in range(40)]
    file = RecordingFile(tmp_path / "a", HOST, catalogue())
    for frame in (*frames, *frames[1:] * 10):
        file.write(frame)
    file.close()
    played = Recording(tmp_path / "a", catalogue())
    assert played.at(30)
    with pytest.raises(Malformed, match="too far"):
        played.at(played.end - 1)
    near = Replay(Recording(tmp_path / "a", catalogue()), begin=played.end - 1)
    assert near.number < 40, "the last before it that can be read"


def test_a_moment_does_not_grow_frame_by_frame() -> None:
    """Each frame adds a little: what is there in all is bounded, too."""
    hook = catalogue()["syscalls"]
    width = len(hook.places.names)
    encoder, decoder = Encoder({hook.name: hook}), Decoder()
    status = Status(HookId(hook.name), State.ATTACHED, "best")
    rows: dict[object, object] = {}

    def add(n: int) -> None:
        for k in range(10_000):
            row = (n * 10_000 + k,) * width
            rows[tuple([row[i] for i in hook.places.keys])] = row
        sample = Sample(status, float(n + 1), 1.0, rows=dict(rows))  # type: ignore[arg-type]
        frame = encoder.encode(Tick(1.0, 1.0, {hook.name: (sample,)}), key=n == 0)
        decoder.decode(frame, key=n == 0)

    add(0)
    with pytest.raises(Malformed, match="larger than any can be"):
        deque(map(add, range(1, 200)))
    assert decoder.spent <= MOST_CELLS


def test_a_trail_is_bounded_whatever_the_clock_says() -> None:
    """Times that stand still, and rows without end."""
    hook = catalogue()["syscalls"]
    trail = Trail(hook)
    status = Status(HookId(hook.name), State.ATTACHED, "best")
    for _ in range(2000):
        trail.feed([Sample(status, 1.0, 1.0)])
    (kept,) = trail._samples.values()
    assert len(kept) <= Trail.MOST_SAMPLES
    assert trail.snapshot(Sample(status, 2.0, 2.0)).interval == 1.0


def test_trails_are_bounded_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many hooks a recording has: rows of all windows together, and no longer than that."""
    monkeypatch.setattr(WindowRoom, "MOST_ROWS", 1000)
    room, hooks = WindowRoom(), list(catalogue().values())
    trails = [Trail(hook, room=room) for hook in hooks]
    rows = {(n,): (n,) for n in range(20)}
    for time in range(40):
        for hook, trail in zip(hooks, trails, strict=True):
            status = Status(HookId(hook.name), State.ATTACHED, "best")
            trail.feed([Sample(status, time / 10, 1.0, rows=rows)])  # type: ignore[arg-type]
        assert room.rows <= max(1000, 4 * 20 * len(hooks))
    there = sum(len(s.rows) for t in trails for kept in t._samples.values() for s in kept)
    assert there == room.rows
    for trail in trails:
        assert [s.time for kept in trail._samples.values() for s in (kept[0], kept[-1])] == [0, 3.9]
        trail.feed([])
    assert room.rows == 0


@pytest.mark.parametrize("torn", [0, 3])
def test_a_recording_that_was_killed_is_found_whole_while_it_plays(
    torn: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an index, on a machine that is too slow to look through it at once."""
    ticks = asyncio.run(demo_ticks(1, hooks=("interfaces",)))
    ticks = [replace(ticks[0], wall=ticks[0].wall + n) for n in range(100)]
    path = record(tmp_path / "a", ticks)
    whole = Recording(path, catalogue())
    places, lengths = whole._frames.places, whole._frames.lengths
    path.write_bytes(path.read_bytes()[: places[-1] + lengths[-1] - torn])
    number = 100 - (torn > 0)
    assert Recording(path, catalogue()).end == number
    for patience in ("_LOOK_SECONDS", "_A_LITTLE"):
        monkeypatch.setattr(reader, patience, 0.0)
    played = Recording(path, catalogue())
    assert played.end < 50
    assert "are found while it plays" in played.note
    source = Replay(played)
    while not source.ended:
        source.step()
    assert source.number == number - 1
    assert played.moments() == whole.moments()[:number]
    assert played.note.startswith("It was not ended properly")
    asked = Recording(path, catalogue())
    asked.look_on(reader.MOST_MOMENTS)
    assert asked.end == number


def _without_index(path: Path, moments: int, *, drops: int = 300) -> Path:
    tape, file = Tape(catalogue()), RecordingFile(path, HOST, catalogue())
    for n in range(moments):
        frame = tape.add(Tick(1.7e9 + n, 1.0, {}))
        events = ("xdp gone",) if n == 70 else ()
        moment = frame.moment._replace(drops=n * drops, events=events)
        file.write(frame._replace(moment=moment))
    file._let_go()
    return path


def test_heads_of_small_frames_are_read_many_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And are what a whole reading of each says, events and large numbers too."""
    path, reads, pread = _without_index(tmp_path / "a", 1000), list[int](), os.pread

    def counted(fd: int, number: int, place: int) -> bytes:
        reads.append(number)
        return pread(fd, number, place)

    monkeypatch.setattr(os, "pread", counted)
    played = Recording(path, catalogue())
    assert played.end == 1000
    assert len(reads) < 30
    moments = [played._frame(n).moment for n in range(1000)]
    assert moments == played.moments()
    assert [m.drops for m in moments] == [300 * n for n in range(1000)]
    assert [n for n, m in enumerate(moments) if m.events] == [70]


def test_what_is_made_of_all_moments_is_made_once_of_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while further ones are found: a time bar, marks and clocks are asked for often."""
    path = _without_index(tmp_path / "a", 500)
    whole = Recording(path, catalogue())
    for patience in ("_LOOK_SECONDS", "_A_LITTLE"):
        monkeypatch.setattr(reader, patience, 0.0)
    made, moment = list[int](), Moments.moment

    def counted(self: Moments, number: int) -> Moment:
        made.append(number)
        return moment(self, number)

    monkeypatch.setattr(Moments, "moment", counted)
    played, ends = Recording(path, catalogue()), 0
    while played.end < 500:
        assert len(played.moments()) == played.end
        assert played.marks() is played.marks()
        assert played.clock(played.end - 1) == played.end - 1
        played.look_on()
        ends += 1
    assert ends > 10
    assert played.moments() == [moment(whole._frames, n) for n in range(500)]
    assert made == list(range(500))
    assert played.marks() == whole.marks()
    assert len(played.marks()) > 0


SPECS = (
    "kprobe:vfs_read,by=comm,latency",
    "fexit:vfs_read,by=ret+pid,ret",
    "kprobe:nosuch,where=cgroup==/system.slice/x.service,by=cgroup",
    "tracepoint:sched:sched_switch,fields=prev_comm,next_pid,where=prev_pid==1",
    "rawtracepoint:sys_enter",
    "uprobe:/bin/sh:main,where=pid==1",
    "uretprobe:/nosuch:main,by=stack",
)
ASKS = """
import sys
from probes.custom import builder, spec
from probes.hooks import catalogue
catalogue()
asked = []
sys.addaudithook(lambda event, arguments: asked.append(arguments[0]) if event == "open" else None)
for text in sys.argv[1:]:
    assert builder.recalled(text).name == str(spec.parse(text))
found = [str(a) for a in asked if not str(a).endswith((".py", ".pyc"))]
assert not found, found
"""


def test_hooks_from_elsewhere_are_no_question_to_this_kernel() -> None:
    """No file of this host is opened for them: neither the kernel's nor a program's."""
    subprocess.run([sys.executable, "-c", ASKS, *SPECS], cwd=ROOT, check=True, timeout=60)


def test_what_a_field_is_is_seen_by_its_values() -> None:
    """Of a tracepoint that this kernel may not have: numbers and texts are both taken."""
    from probes.custom import builder

    hook = builder.recalled("tracepoint:a:b,by=none,fields=name,number")
    assert isinstance(hook, Hook)
    status = Status(HookId(hook.name), State.ATTACHED, "tracepoint")
    row = ("a:b", "sda", 7, 100)
    sample = Sample(status, 1.0, 1.0, rows={row[:3]: row})
    tick = Tick(1.0, 1.0, {hook.name: (sample,)}, (status,))
    adapter = compat.SchemaAdapter({hook.name: hook})
    assert adapter.tick(tick, {hook.name: Layout.of(hook)}).samples[hook.name] == (sample,)


def test_a_reader_makes_no_more_than_it_may() -> None:
    """What is written value by value takes longer to read, and counts for more."""
    reader = Reader(b"\4" + b"n" * MOST_CELLS)
    with pytest.raises(Malformed):
        reader.column(MOST_CELLS // 4, None)
