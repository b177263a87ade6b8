"""Recordings that were made to do harm never crash, hang, or fill memory."""

from __future__ import annotations

import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from probes.hooks import catalogue
from probes.model import HookId, Sample, State, Status
from probes.recording.bookmarks import Moment
from probes.recording.codec import MOST_CELLS, Malformed, Reader, Writer
from probes.recording.decoder import Decoder
from probes.recording.encoder import Encoder, Tick
from probes.recording.reader import Recording
from probes.recording.tape import MOST_FRAME, Frame
from probes.recording.writer import HEAD, RecordingError, RecordingFile
from tests.support.amounts import amounts
from tests.support.recordings import HOST

ROOT = Path(__file__).parents[3]
LITTLE = 200 << 20
"""Bytes that reading one moment may take at most, whatever is in it."""


@amounts("seeds", quick="5", slow="16")
def test_bytes_at_random_in_whole_frames_and_in_files(seeds: str) -> None:
    """In a process of little memory; through rates, JSON, text and every pane."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.hostile", "0", seeds],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    good, _, _, every = done.stdout.split()
    assert 0 < int(good) < int(every), "some moments are readable, some are not"


def _file(path: Path, size: int, data: bytes) -> Path:
    file = RecordingFile(path, HOST, catalogue())
    file.write(Frame(Moment(1e9), True, size, data))
    file.close()
    return path


def _refused(path: Path) -> None:
    """It opens, and its moment cannot be read, in little memory."""
    tracemalloc.start()
    played = Recording(path, catalogue())
    with pytest.raises(Malformed):
        played.at(0)
    assert tracemalloc.get_traced_memory()[1] < LITTLE
    tracemalloc.stop()
    played.close()


def _deflated(data: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH)


@pytest.mark.parametrize("size", [100, MOST_FRAME, 0])
def test_a_frame_that_is_larger_than_it_says_is_not_uncompressed(tmp_path: Path, size: int) -> None:
    _refused(_file(tmp_path / "a", size, _deflated(bytes(4 * MOST_FRAME))))


def _sample(*numbers: int) -> bytes:
    """A key frame of one hook with one sample. numbers: rows, log."""
    out = Writer()
    out.real(1e9)
    out.real(1.0)
    out.size(1)  # no statuses
    out.size(0)  # no rules
    out.size(1)
    out.text("drops")
    out.size(1)
    out.size(1)
    out.text("interface")
    out.size(0)
    out.size(1)
    out.size(0)
    out.size(1)
    rows, log = numbers
    out.rows([(0, 4, 1, 0, 0, 0, 0, 0, rows, log)], None)
    for text in ("drops", "attached"):
        out.text(text)
        if text == "drops":
            out.size(0)
    out.size(0)
    out.size(0)
    out.text("")
    out.size(0)
    return bytes(out.data)


@pytest.mark.parametrize("numbers", [(2**40, 0), (2**16, 0), (-1, 0), (0, 2**40), (0, -5), (0, 7)])
def test_numbers_of_rows_that_no_moment_has(tmp_path: Path, numbers: tuple[int, int]) -> None:
    raw = _sample(*numbers)
    _refused(_file(tmp_path / "a", len(raw), _deflated(raw)))


def test_cells_are_counted_before_they_are_made() -> None:
    out = Writer()
    out.column([0] * 1000, None)
    data = Reader(bytes(out.data) * (MOST_CELLS // 1000 + 1))
    for _ in range(MOST_CELLS // 1000):
        data.column(1000, None)
    with pytest.raises(Malformed, match="more memory than --memory allows"):
        data.column(1000, None)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: raw[:-9] + struct.pack("<d", float("nan")) + raw[-1:],
        lambda raw: struct.pack("<d", float("inf")) + raw[8:],
        lambda raw: struct.pack("<d", -1.0) + raw[8:],
        lambda raw: struct.pack("<d", 1e300) + raw[8:],
        lambda raw: raw + b"\0",
        lambda raw: raw[:-1],
        lambda raw: raw[:0],
        lambda raw: raw[:16] + b"\xff" * 40,
    ],
)
def test_times_and_lengths_that_cannot_be(spoil: Callable[[bytes], bytes]) -> None:
    status = Status(HookId("drops"), State.ATTACHED, "tracepoint")
    tick = Tick(1e9, 1.0, {"drops": (Sample(status, 1.0, 1e9),)}, (status,))
    raw = Encoder(catalogue()).encode(tick, key=True)
    assert Decoder().decode(raw, key=True) == tick
    with pytest.raises(Malformed):
        Decoder().decode(spoil(raw), key=True)


def test_an_index_that_lies_is_not_believed(tmp_path: Path) -> None:
    """It is for another file, or a bomb: then the file is read as if it had none."""
    status = Status(HookId("drops"), State.ATTACHED, "tracepoint")
    tick = Tick(1e9, 1.0, {"drops": (Sample(status, 1.0, 1e9),)}, (status,))
    raw = Encoder(catalogue()).encode(tick, key=True)
    path = _file(tmp_path / "a", len(raw), _deflated(raw))
    whole = path.read_bytes()
    place = int.from_bytes(whole[-16:-8], "little")
    for payload in (b"", b"\0", zlib.compress(bytes(1 << 28)), zlib.compress(b"\xff" * 999)):
        record = HEAD.pack(b"I", len(payload), zlib.crc32(b"I" + payload)) + payload
        path.write_bytes(whole[:place] + record + whole[-16:])
        tracemalloc.start()
        played = Recording(path, catalogue())
        assert tracemalloc.get_traced_memory()[1] < LITTLE
        tracemalloc.stop()
        assert played.at(0) == tick
        played.close()
    path.write_bytes(whole[:-16] + struct.pack("<Q", 2**63) + whole[-8:])
    assert Recording(path, catalogue()).end == 1


def test_a_file_of_nothing_but_beginnings_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"ebpftop-recording/1\n" + HEAD.pack(b"H", 0, zlib.crc32(b"H")) * 10_000)
    with pytest.raises(RecordingError):
        Recording(path, catalogue())
