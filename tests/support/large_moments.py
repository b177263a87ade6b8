"""Recordings of moments as large as they may be, and larger, in few bytes.

    python -m tests.support.large_moments play|hear KIND FOLDER

The MB that playing one takes at most, or hearing a host that says the same, and its moments.

Run as a process of its own: what it took at most is known once.
"""

from __future__ import annotations

import asyncio
import os
import sys
import zlib
from array import array
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from probes.hooks import catalogue
from probes.model import Column
from probes.recording.bookmarks import Moment
from probes.recording.codec import Reader, Writer
from probes.recording.compat import types_of
from probes.recording.encoder import Layout, Tick
from probes.recording.index import read_moment
from probes.recording.reader import Recording
from probes.recording.tape import Frame
from probes.recording.writer import HEAD, MAGIC, VERSION, RecordingError, _host, _write_moment
from probes.sources.remote import protocol
from probes.sources.remote.source import Remote
from probes.sources.remote.ssh import SshCommand
from probes.sources.replay import Replay
from tests.support.hostile import _empty, _status, peak
from tests.support.recordings import HOST

_BEGAN = 4745000000000000000
"""As the first sample's clock is written: 2**30 seconds or so."""
_PADDING = b"\0\0\0\xff\xff" * (1 << 20)
"""Blocks of deflate in which nothing is."""


def _integers(value: int, rows: int) -> bytes:
    """A column of so many times the same, of 8 bytes each."""
    return b"\x0d" + b"".join([bytes([o]) * rows for o in value.to_bytes(8, "little")])


def _keys(rows: int) -> bytes:
    octets = array("i", range(1000, 1000 + rows)).tobytes()
    return b"\x0c" + b"".join([octets[i::4] for i in range(4)])


def _texts(rows: int, text: str) -> bytes:
    out = Writer()
    out.data.append(1)
    out.text("\0".join([f"{n:06x}{text}" for n in range(rows)]))
    return bytes(out.data)


def _column(column: Column, rows: int, text: str, *, key: bool) -> bytes:
    types, value = types_of(column), 1 << (60 if key else 40)
    if types & {str}:
        return _texts(rows, text) if key else b"\0"
    if types & {tuple}:
        return b"\2\x14" + _integers(value, rows) * 20
    if column.identifies:
        return _keys(rows) if key else b"\0"
    return _integers(value, rows)


def _moment(hooks: tuple[str, ...], rows: int, text: str, *, key: bool) -> bytes:
    """All rows are new, or everything that they count is."""
    out = _empty(key=key)
    out.data.pop()
    out.size(len(hooks))
    for n, name in enumerate(hooks):
        hook = catalogue()[name]
        layout = Layout.of(hook)
        out.text(name)
        out.size(1 if key else 2)
        if key:
            for names in (layout.names, layout.log):
                out.size(len(names))
                for column in names:
                    out.text(column)
            out.size(len(layout.keys))
            for place in layout.keys:
                out.size(place)
        out.size(1)
        clock = 0 if n or not key else _BEGAN
        out.rows([(0 if key else 1, 4 if key else 8, clock, 0, 0, 0, 0, 0, rows, 0)], None)
        if key:
            _status(out, name, 0)
        out.size(0 if key else rows)
        for stored in hook.stored:
            out.data += _column(stored, rows, text, key=key)
    return bytes(out.data)


def _file(
    *hooks: str, rows: int, later: int = 0, text: str = "", padding: bytes = b"", times: int = 4
) -> bytes:
    """So many times a key frame, and so many that change all of it."""
    deflate, group = zlib.compressobj(6, zlib.DEFLATED, -15), b""
    for n in range(1 + later):
        raw, out = _moment(hooks, rows, text, key=not n), Writer()
        _write_moment(out, Frame(Moment(1.7e9), not n, len(raw), b""))
        out.data += deflate.compress(raw) + deflate.flush(zlib.Z_SYNC_FLUSH) + padding
        group += HEAD.pack(b"F", len(out.data), zlib.crc32(b"F" + out.data)) + out.data
    host = _host(HOST, catalogue())
    begun = MAGIC + b"%d\n" % VERSION + HEAD.pack(b"H", len(host), zlib.crc32(b"H" + host)) + host
    return begun + group * times


def _of(cells: int, *hooks: str) -> int:
    """The rows that have so many cells, in each of the hooks alike."""
    return cells // sum(len(catalogue()[name].stored) for name in hooks)


_NAMED = "syscall-processes", "sent", "dns"
_PLAIN = "xdp", "xdp-programs", "tc-programs", "qdiscs", "programs"
KINDS: dict[str, Callable[[], bytes]] = {
    "more numbers than fit": lambda: _file("interfaces", rows=1 << 16),
    "numbers": lambda: _file("interfaces", rows=_of(640_000, "interfaces"), times=8),
    "numbers that change": lambda: _file("interfaces", rows=_of(640_000, "interfaces"), later=3),
    "histograms": lambda: _file("tcp-rtt", rows=_of(210_000, "tcp-rtt"), later=2),
    "more histograms than fit": lambda: _file("tcp-rtt", rows=30_000, later=2),
    "texts": lambda: _file(*_NAMED, rows=_of(220_000, *_NAMED), text="\u20ac", times=8),
    "more texts than fit": lambda: _file(*_NAMED, rows=30_000, text="\u20ac", times=8),
    "harmful texts": lambda: _file(*_NAMED, rows=_of(190_000, *_NAMED), later=2, text="\x1b[2J"),
    "nothing between": lambda: _file("interfaces", rows=20_000, padding=_PADDING * 12),
    "many hooks": lambda: _file(*_PLAIN, rows=_of(550_000, *_PLAIN), times=8),
}


def _said(recording: bytes, padding: bytes) -> bytes:
    """By another host, in one stream: the same moments over and over."""
    out, deflate = bytearray(protocol.Outgoing(catalogue()).hello(HOST, "1")), None
    out += protocol.answer(1)
    at = recording.index(b"\n") + 1
    deflate, inflate = zlib.compressobj(1, zlib.DEFLATED, -15), zlib.decompressobj(-15)
    frames = []
    while at < len(recording):
        kind, length, _ = HEAD.unpack_from(recording, at)
        data, at = (
            Reader(recording[at + HEAD.size : at + HEAD.size + length]),
            at + length + HEAD.size,
        )
        if kind == b"F":
            frame = read_moment(data)
            if frame.key and frames:
                break
            frames.append(inflate.decompress(data.rest()))
    for raw in frames[:1] + (frames[1:] or frames) * 12:
        packed = deflate.compress(raw) + deflate.flush(zlib.Z_SYNC_FLUSH) + padding
        out += protocol.HEAD.pack(protocol.MOMENT, 4 + len(packed)) + len(raw).to_bytes(4, "little")
        out += packed
    return bytes(out)


def _play(path: Path) -> int:
    played = 0
    with suppress(RecordingError):
        source = Replay(Recording(path, catalogue()))
        while not source.ended and played < 12:
            source.step()
            played += 1
    return played


async def _hear(path: Path) -> int:
    command = ("sh", "-c", 'cat "$0"; sleep 60', str(path))
    remote, came = Remote(SshCommand("web1", command, command), pauses=(1000.0,)), list[int]()
    take = remote._take

    def counted(tick: Tick) -> None:
        came.append(len(tick.samples))
        take(tick)

    remote._take = counted  # type: ignore[method-assign]
    await remote.connect()
    await remote.start()
    while len(came) < 8 and not remote.feed.trouble:
        await asyncio.sleep(0.02)
    await remote.close()
    return len(came)


def main(how: str, kind: str, folder: Path) -> None:
    path = folder / "large"
    if (child := os.fork()) == 0:  # what making it takes does not count
        made = KINDS[kind]()
        path.write_bytes(
            made if how == "play" else _said(made, _PADDING if kind == "nothing between" else b"")
        )
        os._exit(0)
    os.waitpid(child, 0)
    played = _play(path) if how == "play" else asyncio.run(_hear(path))
    print(peak(), played, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
    os._exit(0)
