"""Recordings that are looked at (`writer` writes them). Anybody may have made the file: what is
no recording is a RecordingError, what is damaged in one is Malformed, moment by moment.

To open one takes no longer than a second and less than 200 MB, whatever is in it: moments are kept
column by column, and those that take longer to be found are looked for while it plays (`look_on`).
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

from probes.model import Hook
from probes.recording.bookmarks import LONGEST, MOST_EVENTS, Moment
from probes.recording.codec import Malformed, Reader
from probes.recording.compat import Fitting
from probes.recording.decoder import LATEST, MOST_COUNT, MOST_HOOKS, NAME
from probes.recording.encoder import Layout, Tick
from probes.recording.tape import MOST_FRAME, Frame, Reel, between
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

MOST_MOMENTS = INDEXED
"""Of one recording that are looked at: three days, one a second."""
_MOST_INDEX, _MOST_PHRASES = 1 << 24, 1 << 16
"""Bytes of the index before it is compressed; what was attached, and the like, in all of it."""
_CELLS_INDEXED = 16
"""Cells that each moment of an index costs: five numbers, and a time."""
_MOST_HOST = 1 << 20
"""Bytes of the record that says whose it is."""
_NAMED, _LETTERS = 5, 60
"""Hooks that are named which this program does not know; letters of each."""
_HEADER, _MOST_HEADER, _TORN = 256, 1 << 17, 64
"""Bytes of a frame that tell of its moment, usually and at most; frames at the end that may be
torn."""
_JUMP, _MOST_JUMPS = 2.0, 16
"""Seconds beyond what is usual between two moments from which the clock may have been set; such
places that are looked at: more are taken as they are."""
_PATIENCE, _A_LITTLE, _FEW = 0.4, 0.02, 16
"""Seconds in which moments are looked for where there is no index: when it is opened (36,000 of
them on an idle machine), and at each moment that is played then; so many at least."""


class _Placed(NamedTuple):
    """A frame without its data. place, length: of its record in the file."""

    place: int
    length: int
    frame: Frame


class _Moments:
    """Where each frame is in the file, and what is known of it, column by column."""

    def __init__(self) -> None:
        self.places, self.lengths, self.sizes = array("q"), array("q"), array("q")
        self.walls, self.flags = array("d"), bytearray()
        self.drops: list[int] = []
        self.failures: list[int] = []
        self.events: dict[int, tuple[str, ...]] = {}
        self.keys: list[int] = []

    def __len__(self) -> int:
        return len(self.places)

    def add(self, place: int, length: int, frame: Frame) -> None:
        moment = frame.moment
        if frame.key:
            self.keys.append(len(self))
        if moment.events:
            self.events[len(self)] = moment.events
        self.places.append(place)
        self.lengths.append(length)
        before = self.sizes[-1] if self.sizes else 0
        self.sizes.append(before + frame.size)
        self.walls.append(moment.wall)
        self.flags.append(frame.key | moment.anew << 1)
        self.drops.append(moment.drops)
        self.failures.append(moment.failures)

    def pop(self) -> None:
        """Without the last one."""
        for column in (self.places, self.lengths, self.sizes, self.walls):
            column.pop()
        for counts in (self.flags, self.drops, self.failures):
            counts.pop()
        self.events.pop(len(self), None)
        if self.keys[-1:] == [len(self)]:
            self.keys.pop()

    def size(self, number: int) -> int:
        """Bytes of a frame before it is compressed."""
        return self.sizes[number] - (self.sizes[number - 1] if number else 0)

    def moment(self, number: int) -> Moment:
        return Moment(
            self.walls[number],
            self.drops[number],
            self.failures[number],
            self.events.get(number, ()),
            self.flags[number] & 2 != 0,
        )

    def __getitem__(self, number: int) -> _Placed:
        key = self.flags[number] & 1 != 0
        frame = Frame(self.moment(number), key, self.size(number), b"")
        return _Placed(self.places[number], self.lengths[number], frame)


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
            self.note, begin = "", time.monotonic()
            self._unseen = self._size
            self._frames = self._indexed() or self._found(begin + _PATIENCE)
        except Malformed:
            self.close()
            raise RecordingError(f"{name_of(path)} is damaged at its beginning") from None
        except RecordingError:
            self.close()
            raise
        if not self._frames:
            self.close()
            raise RecordingError(f"{name_of(path)} has no whole moment in it")
        self._keys = self._frames.keys
        known = {name: hook for name, hook in hooks.items() if name in names}
        others = {name: recall(name) for name in names if name not in hooks}
        known |= {n: hook for n, hook in others.items() if hook is not None and hook.name == n}
        super().__init__(known)
        self._fitting = Fitting(known)
        self._moments: list[Moment] = []
        self._clocks = array("d")
        unknown = [name for name in names if name not in known]
        if unknown:
            more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
            named = ", ".join([name[:_LETTERS] for name in unknown[:_NAMED]])
            space = " " if self.note else ""
            self.note += f"{space}This program does not know {named}{more}."

    def another(self) -> Recording:
        """The same, to be read elsewhere at the same time; to be closed, too."""
        twin = copy(self)
        Reel.__init__(twin, self.hooks)
        twin._fitting = Fitting(self.hooks)
        twin._fd = os.dup(self._fd)
        twin._unseen = self._size  # what is found is found for both
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
        return self._frames.moment(number)

    def moments(self) -> list[Moment]:
        if len(self._moments) != self.end:
            self._moments = [self._frames.moment(n) for n in range(self.end)]
        return self._moments

    def wall(self, number: int) -> float:
        return self._frames.walls[number]

    def clock(self, number: int) -> float:
        if number >= len(self._clocks):  # further moments may have been found
            self._clocks = self._run()
        return self._clocks[number]

    def _run(self) -> array[float]:
        """Each moment's: by the index, and where that jumps, by what the two moments have read."""
        walls = self._frames.walls
        gaps = [after - before for before, after in pairwise(walls)]
        usual = sorted(gaps)[len(gaps) // 2] if gaps else 0.0
        looked = 0
        for number, gap in enumerate(gaps):
            if 0 <= gap <= 3 * usual + _JUMP:
                continue
            gaps[number] = max(gap, 0.0)
            looked += 1
            if looked <= _MOST_JUMPS:
                with suppress(Malformed):
                    gaps[number] = between(self.at(number), self.at(number + 1))
        return array("d", accumulate(gaps, initial=0.0))

    def anew(self, number: int) -> bool:
        return self._frames.flags[number] & 2 != 0

    def key_after(self, number: int) -> int | None:
        place = bisect_right(self._keys, number)
        return self._keys[place] if place < len(self._keys) else None

    def _key_of(self, number: int) -> int:
        return self._keys[bisect_right(self._keys, number) - 1]

    def _group_size(self, key: int, number: int) -> int:
        sizes = self._frames.sizes
        return sizes[number - 1] - sizes[key] if number > key else 0

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
        kind, payload = self._record(place, min(self._size, place + HEAD.size + _MOST_HOST))
        if kind != b"H":
            raise Malformed("it does not say whose it is")
        self._start = place + HEAD.size + len(payload)
        return _read_host(Reader(payload))

    def _indexed(self) -> _Moments | None:
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
            del payload
            index = _read_index(raw, self._start, place)
        except (Malformed, zlib.error, struct.error):
            return None
        return index if index and index.keys[:1] == [0] else None

    def _found(self, end: float) -> _Moments:
        """By the head of each frame, up to the last whole moment, or as far as one gets in time."""
        index, self._unseen = _Moments(), self._start
        self._look(index, max(end, time.monotonic() + _PATIENCE / 4))
        return index

    def look_on(self, *, to_end: bool = False) -> None:
        """Look for further moments where there is no index, for a little or (seconds) for all."""
        while self._unseen < self._size:
            self._look(self._frames, time.monotonic() + _A_LITTLE)
            if not to_end:
                break

    def _look(self, index: _Moments, end: float) -> None:
        tried = 0
        while self._unseen < self._size and (tried < _FEW or time.monotonic() < end):
            tried += 1
            try:
                length, frame = self._head_of_frame(self._unseen)
            except Malformed:
                self._unseen = self._size
                break
            if index or frame.key:
                index.add(self._unseen, length, frame)
            self._unseen += length
            if len(index) >= MOST_MOMENTS:
                break
        last = time.strftime("%H:%M:%S", time.localtime(index.walls[-1])) if index else ""
        if self._unseen < self._size:
            self.note = f"It has no index: moments after {last} are found while it plays."
            if len(index) >= MOST_MOMENTS:
                self._unseen = self._size
                self.note = f"It has no index, and is too long: what is after {last} is left out."
            return
        for _ in range(_TORN):  # the last may be there in part
            if index and not self._is_whole(index):
                index.pop()
        if index:
            why = "It is still being recorded" if self._locked() else "It was not ended properly"
            last = time.strftime("%H:%M:%S", time.localtime(index.walls[-1]))
            self.note = f"{why}: its last whole moment is {last}."

    def _head_of_frame(self, place: int) -> tuple[int, Frame]:
        """The length of a frame's record, and the frame without its data, which is not looked at.

        Raises Malformed where it does not end within the file.
        """
        octets = self._octets(place, HEAD.size + _HEADER)
        if len(octets) < HEAD.size:
            raise Malformed("it ends too early")
        kind, length, _ = HEAD.unpack_from(octets)
        if kind != b"F" or length > min(self._size - place - HEAD.size, 2 * MOST_FRAME):
            raise Malformed("it ends too early")
        try:
            frame = _read_moment(Reader(octets[HEAD.size : HEAD.size + length]))
        except Malformed:
            if length <= _HEADER:
                raise
            frame = _read_moment(Reader(self._octets(place + HEAD.size, min(length, _MOST_HEADER))))
        return HEAD.size + length, frame

    def _is_whole(self, index: _Moments) -> bool:
        """Whether the last frame is as it was written."""
        try:
            self._record(index.places[-1], self._size)
        except Malformed:
            return False
        return True

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
    """Whose it is, printable, and the names of the hooks, which are known by them or not at all."""
    name, kernel, privilege = (printable(data.text(NAME)) for _ in range(3))
    host = Host(name, kernel, privilege, data.size(1) == 1)
    return host, tuple([printable(data.text(NAME)) for _ in range(data.size(MOST_HOOKS))])


def _read_moment(data: Reader) -> Frame:
    wall, drops, failures = data.real(), data.size(MOST_COUNT), data.size(MOST_COUNT)
    flags, size = data.size(3), data.size(MOST_FRAME)
    events = _read_events(data)
    if not 0 <= wall < LATEST:
        raise Malformed("a time is none")
    return Frame(Moment(wall, drops, failures, events, flags & 2 != 0), flags & 1 != 0, size, b"")


def _read_events(data: Reader) -> tuple[str, ...]:
    """What happened, printable, a phrase for each."""
    number = data.size(MOST_EVENTS)
    return tuple([printable(data.text(NAME)[:LONGEST]) for _ in range(number)])


def _read_index(raw: bytes, place: int, end: int) -> _Moments:
    """Raises Malformed where it does not fit what is before it."""
    data = Reader(raw, INDEXED * _CELLS_INDEXED)
    number = data.size(INDEXED)
    index = _Moments()
    if not number:
        return index
    lengths = _whole(data, number, end - place + 1)
    if sum(lengths) != end - place or min(lengths) <= HEAD.size:
        raise Malformed("the index is of another file")
    index.lengths = array("q", lengths)
    index.places = array("q", list(accumulate(lengths, initial=place))[:-1])
    index.walls = _walls(data, number)
    index.drops = list(_whole(data, number, MOST_COUNT))
    index.failures = list(_whole(data, number, MOST_COUNT))
    index.flags = bytearray(_whole(data, number, 4))
    index.sizes = array("q", list(accumulate(_whole(data, number, MOST_FRAME + 1))))
    index.keys = [n for n, flag in enumerate(index.flags) if flag & 1]
    left = _MOST_PHRASES
    while n := data.size(number):
        index.events[n - 1] = _read_events(data)
        left -= 1 + len(index.events[n - 1])
        if left < 0:
            raise Malformed("the index is larger than any can be")
    return index


def _whole(data: Reader, number: int, bound: int) -> Sequence[int]:
    """A column of integers, none negative, all below the bound."""
    column = data.integers(number)
    if min(column) < 0 or max(column) >= bound:
        raise Malformed("the index is none")
    return column


def _walls(data: Reader, number: int) -> array[float]:
    column = data.column(number, None)
    times = [wall for wall in column if isinstance(wall, float) and 0 <= wall < LATEST]
    if len(times) != number:
        raise Malformed("a time is none")
    return array("d", times)
