"""Recordings that are looked at (`writer` writes them). Anybody may have made the file: what is
no recording is a RecordingError, what is damaged in one is Malformed, moment by moment.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
import zlib
from bisect import bisect_right
from collections.abc import Callable, Mapping
from copy import copy
from pathlib import Path
from typing import NamedTuple

from probes.model import Hook
from probes.recording.bookmarks import LONGEST, MOST_EVENTS, Moment
from probes.recording.codec import Malformed, Reader
from probes.recording.compat import Fitting
from probes.recording.decoder import LATEST, MOST_HOOKS
from probes.recording.encoder import Layout, Tick
from probes.recording.tape import MOST_FRAME, Frame, Reel
from probes.recording.writer import (
    END,
    HEAD,
    INDEXED,
    MAGIC,
    MARK,
    VERSION,
    RecordingError,
    name_of,
    opened,
)
from probes.source import Host
from probes.units import printable

MOST_MOMENTS = 1 << 20
"""Of one recording that are looked at: twelve days, one a second."""
_MOST_INDEX = 1 << 26


class _Placed(NamedTuple):
    """A frame without its data. place, length: of its record in the file."""

    place: int
    length: int
    frame: Frame


class Recording(Reel):
    """A recording that can be looked at. Raises RecordingError where the file is none.

    recall: what knows further hooks by name. host: whose it is. note: what is not whole about it,
    or "". Moments that cannot be read raise Malformed, one by one.
    """

    def __init__(
        self,
        path: Path,
        hooks: Mapping[str, Hook],
        recall: Callable[[str], Hook | None] = lambda _: None,
    ) -> None:
        self.path = path
        try:
            self._fd = opened(path)
        except OSError as failed:
            raise RecordingError(f"{name_of(path)} cannot be read: {failed.strerror}") from None
        try:
            self.host, names = self._begin()
            self.note = ""
            self._frames = self._indexed() or self._found()
        except Malformed:
            self.close()
            raise RecordingError(f"{name_of(path)} is damaged at its beginning") from None
        except RecordingError:
            self.close()
            raise
        if not self._frames:
            self.close()
            raise RecordingError(f"{name_of(path)} has no whole moment in it")
        known = {name: hook for name, hook in hooks.items() if name in names}
        others = {name: recall(name) for name in names if name not in hooks}
        known |= {name: hook for name, hook in others.items() if hook is not None}
        super().__init__(known)
        self._fitting = Fitting(known)
        self._moments = [placed.frame.moment for placed in self._frames]
        self._keys = [n for n, placed in enumerate(self._frames) if placed.frame.key]
        unknown = [printable(name) for name in names if name not in known]
        if unknown:
            self.note += (
                f"{' ' if self.note else ''}This program does not know {', '.join(unknown)}."
            )

    def another(self) -> Recording:
        """The same, to be read elsewhere at the same time; to be closed, too."""
        twin = copy(self)
        Reel.__init__(twin, self.hooks)
        twin._fitting = Fitting(self.hooks)
        twin._fd = os.dup(self._fd)
        return twin

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @property
    def first(self) -> int:
        return 0

    @property
    def end(self) -> int:
        return len(self._frames)

    def moment(self, number: int) -> Moment:
        return self._frames[number].frame.moment

    def moments(self) -> list[Moment]:
        return self._moments

    def key_after(self, number: int) -> int | None:
        place = bisect_right(self._keys, number)
        return self._keys[place] if place < len(self._keys) else None

    def _key_of(self, number: int) -> int:
        place = bisect_right(self._keys, number) - 1
        return self._keys[place]

    def _frame(self, number: int) -> Frame:
        place, length, frame = self._frames[number]
        kind, payload = self._record(place, place + length)
        if kind != b"F" or len(payload) != length - HEAD.size:
            raise Malformed("a moment is damaged")
        data = Reader(payload)
        if _read_moment(data)._replace(data=b"") != frame:
            raise Malformed("a moment is not the one of the index")
        return frame._replace(data=data.rest())

    def _adapted(self, tick: Tick, layouts: Mapping[str, Layout]) -> Tick:
        return self._fitting.tick(tick, layouts)

    def _begin(self) -> tuple[Host, tuple[str, ...]]:
        head = self._octets(0, len(MAGIC) + 12)
        line, newline, _ = head.removeprefix(MAGIC).partition(b"\n")
        if not head.startswith(MAGIC) or not newline or not line.isdigit():
            raise RecordingError(f"{name_of(self.path)} is not a recording of ebpftop")
        if int(line) > VERSION:
            newer = f"written by a newer ebpftop (format {int(line)}, this one reads {VERSION})"
            raise RecordingError(f"{name_of(self.path)} was {newer}; replay it with that one")
        self._size = os.fstat(self._fd).st_size
        place = len(MAGIC) + len(line) + 1
        kind, payload = self._record(place, self._size)
        if kind != b"H":
            raise Malformed("it does not say whose it is")
        self._start = place + HEAD.size + len(payload)
        return _read_host(Reader(payload))

    def _indexed(self) -> list[_Placed] | None:
        """By the index, where the recording was ended."""
        try:
            place, mark = END.unpack(self._octets(self._size - END.size, END.size))
            if mark != MARK or not self._start <= place < self._size:
                return None
            kind, payload = self._record(place, self._size - END.size)
            if kind != b"I":
                return None
            inflate = zlib.decompressobj()
            raw = inflate.decompress(payload, _MOST_INDEX)
            frames = _read_index(Reader(raw), self._start, place)
        except (Malformed, zlib.error, struct.error):
            return None
        return frames if frames and frames[0].frame.key else None

    def _found(self) -> list[_Placed]:
        """By reading it all, up to the last whole moment."""
        frames: list[_Placed] = []
        place = self._start
        while place < self._size and len(frames) < MOST_MOMENTS:
            try:
                kind, payload = self._record(place, self._size)
                if kind != b"F":
                    break
                frame = _read_moment(Reader(payload))
            except Malformed:
                break
            length = HEAD.size + len(payload)
            if frames or frame.key:
                frames.append(_Placed(place, length, frame))
            place += length
        if frames:
            last = time.strftime("%H:%M:%S", time.localtime(frames[-1].frame.moment.wall))
            why = "It is still being recorded" if self._locked() else "It was not ended properly"
            self.note = f"{why}: its last whole moment is {last}."
        return frames

    def _locked(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        return False

    def _record(self, place: int, end: int) -> tuple[bytes, bytes]:
        """Kind and payload. Raises Malformed where it is not whole."""
        head = self._octets(place, HEAD.size)
        if len(head) < HEAD.size:
            raise Malformed("it ends too early")
        kind, length, crc = HEAD.unpack(head)
        if length > min(end - place - HEAD.size, 2 * MOST_FRAME):
            raise Malformed("it ends too early")
        payload = self._octets(place + HEAD.size, length)
        if zlib.crc32(kind + payload) != crc:
            raise Malformed("it is damaged")
        return kind, payload

    def _octets(self, place: int, number: int) -> bytes:
        try:
            return os.pread(self._fd, number, max(place, 0))
        except OSError as failed:
            raise Malformed(failed.strerror) from None


def _read_host(data: Reader) -> tuple[Host, tuple[str, ...]]:
    host = Host(data.text(), data.text(), data.text(), data.size(1) == 1)
    return host, tuple([data.text() for _ in range(data.size(MOST_HOOKS))])


def _read_moment(data: Reader) -> Frame:
    wall, drops, failures = data.real(), data.size(1 << 80), data.size(1 << 80)
    flags, size = data.size(3), data.size(MOST_FRAME)
    events = tuple([data.text()[:LONGEST] for _ in range(data.size(MOST_EVENTS))])
    if not 0 <= wall < LATEST:
        raise Malformed("a time is none")
    return Frame(Moment(wall, drops, failures, events, flags & 2 != 0), flags & 1 != 0, size, b"")


def _read_index(data: Reader, place: int, end: int) -> list[_Placed]:
    """Raises Malformed where it does not fit what is before it."""
    number = data.size(INDEXED)
    found = []
    for length, wall, drops, failures, flags, size in data.rows(number, 6, None):
        if not (
            isinstance(length, int) and isinstance(wall, float) and isinstance(flags, int)
            and isinstance(drops, int) and isinstance(failures, int) and isinstance(size, int)
            and length > HEAD.size and 0 <= flags <= 3 and drops >= 0 and failures >= 0
            and 0 <= wall < LATEST
        ):  # fmt: skip
            raise Malformed("the index is none")
        moment = Moment(wall, drops, failures, (), flags & 2 != 0)
        found.append(_Placed(place, length, Frame(moment, flags & 1 != 0, size, b"")))
        place += length
    if place != end:
        raise Malformed("the index is of another file")
    while n := data.size(number):
        placed, frame = found[n - 1], found[n - 1].frame
        phrases = tuple([data.text()[:LONGEST] for _ in range(data.size(MOST_EVENTS))])
        moment = frame.moment._replace(events=phrases)
        found[n - 1] = placed._replace(frame=frame._replace(moment=moment))
    return found
