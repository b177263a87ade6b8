"""Where each moment of a recording is in its file, and what is known of it without decoding it: by
the index at the end, or by the head of each frame, one after the other."""

from __future__ import annotations

import os
import struct
import zlib
from array import array
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from probes.recording.bookmarks import LONGEST, MOST_EVENTS, Moment
from probes.recording.codec import Malformed, Reader
from probes.recording.decoder import LATEST, MOST_COUNT, NAME
from probes.recording.tape import MOST_FRAME, Frame, most_compressed
from probes.recording.writer import HEAD, INDEXED
from probes.units import printable

_HEADER, MOST_HEADER = 256, 1 << 17
"""Bytes of a frame that tell of its moment, usually and at most."""
MOST_RECORD = most_compressed(MOST_FRAME) + MOST_HEADER
"""Bytes of a frame's record, with its head."""
_MOST_PHRASES = 1 << 16
"""What was attached, and the like, in all of an index."""
_CELLS_INDEXED = 16
"""Cells that each moment of an index costs: five numbers, and a time."""
_PLAIN, _PLAIN_MOST = struct.Struct("<cIId"), 32
"""How a frame's record begins, and its moment; bytes of both where, as in nearly all, nothing
happened and no number has more than four bytes."""
_AHEAD = 1 << 14
"""Bytes that are read at once where frames are small."""


class Placed(NamedTuple):
    """A frame without its data. place, length: of its record in the file."""

    place: int
    length: int
    frame: Frame


class Moments:
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

    def add(self, found: Placed) -> None:
        place, length, frame = found
        moment = frame.moment
        if moment.events:
            self.events[len(self)] = moment.events
        flags = frame.key | moment.anew << 1
        self.put(place, length, moment.wall, moment.drops, moment.failures, flags, frame.size)

    def put(
        self, place: int, length: int, wall: float, drops: int, failures: int, flags: int, size: int
    ) -> None:
        if flags & 1:
            self.keys.append(len(self.places))
        self.sizes.append(self.sizes[-1] + size if self.places else size)
        self.places.append(place)
        self.lengths.append(length)
        self.walls.append(wall)
        self.flags.append(flags)
        self.drops.append(drops)
        self.failures.append(failures)

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

    def __getitem__(self, number: int) -> Placed:
        key = self.flags[number] & 1 != 0
        frame = Frame(self.moment(number), key, self.size(number), b"")
        return Placed(self.places[number], self.lengths[number], frame)


class Heads:
    """The frames of a file, one after the other, without their data, which is not looked at.

    place: where the next one begins; end: where the file does. Reading a head takes 2 us, of which
    a recording of three days has 260,000.
    """

    def __init__(self, fd: int, place: int, end: int) -> None:
        self.place, self.end = place, end
        self._fd = fd
        self._read, self._begin = b"", 0

    def add(self, index: Moments, number: int) -> None:
        """The next so many, or as many as there are. Raises Malformed where one is none, or does
        not end within the file."""
        for _ in range(number):
            if self.place >= self.end:
                return
            if not self._add_plain(index):
                found = self._any()
                if index or found.frame.key:
                    index.add(found)
                self.place += found.length

    def _add_plain(self, index: Moments) -> bool:
        """Whether the next is as nearly all are: then it was added."""
        octets, at = self._read, self.place - self._begin
        if at + _PLAIN_MOST > len(octets):
            ahead = _AHEAD if at <= len(octets) else _HEADER  # the one before was small, or not
            octets = self._read = octets_at(self._fd, self.place, ahead)
            self._begin, at = self.place, 0
            if len(octets) < _PLAIN_MOST:
                return False
        kind, length, _, wall = _PLAIN.unpack_from(octets, at)
        drops, at = _varint(octets, at + _PLAIN.size)
        failures, at = _varint(octets, at)
        flags = octets[at]
        size, at = _varint(octets, at + 1)
        begin, end = self.place, self.place + HEAD.size + length
        if (
            kind != b"F" or min(drops, failures, size) < 0 or flags > 3 or octets[at]
            or size > MOST_FRAME or not 0 <= wall < LATEST
            or end > self.end or not _PLAIN_MOST - HEAD.size <= length <= MOST_RECORD
        ):  # fmt: skip
            return False
        self.place = end
        if index or flags & 1:  # else it does not stand for itself
            index.put(begin, end - begin, wall, drops, failures, flags, size)
        return True

    def _any(self) -> Placed:
        place = self.place
        octets = octets_at(self._fd, place, HEAD.size + _HEADER)
        if len(octets) < HEAD.size:
            raise Malformed("it ends too early")
        kind, length, _ = HEAD.unpack_from(octets)
        if kind != b"F" or length > min(self.end - place - HEAD.size, MOST_RECORD):
            raise Malformed("it ends too early")
        try:
            frame = read_moment(Reader(octets[HEAD.size : HEAD.size + length]))
        except Malformed:
            if length <= _HEADER:
                raise
            octets = octets_at(self._fd, place + HEAD.size, min(length, MOST_HEADER))
            frame = read_moment(Reader(octets))
        return Placed(place, HEAD.size + length, frame)


def _varint(octets: bytes, at: int) -> tuple[int, int]:
    """A number of four bytes at most, and where it ends; less than 0: it has more."""
    octet = octets[at]
    if octet < 0x80:
        return octet, at + 1
    number = octet & 0x7F
    for shift in (7, 14, 21):
        at += 1
        octet = octets[at]
        number |= (octet & 0x7F) << shift
        if octet < 0x80:
            return number, at + 1
    return -1, at


def record(fd: int, place: int, end: int) -> tuple[bytes, bytes]:
    """Kind and payload. Raises Malformed where it is not whole."""
    head = octets_at(fd, place, HEAD.size)
    if len(head) < HEAD.size:
        raise Malformed("it ends too early")
    kind, length, crc = HEAD.unpack(head)
    if length > min(end - place - HEAD.size, MOST_RECORD):
        raise Malformed("it ends too early")
    payload = octets_at(fd, place + HEAD.size, length)
    if zlib.crc32(payload, zlib.crc32(kind)) != crc:
        raise Malformed("it is damaged")
    return kind, payload


def octets_at(fd: int, place: int, number: int) -> bytes:
    try:
        return os.pread(fd, number, max(place, 0))
    except OSError as failed:
        raise Malformed(failed.strerror) from None


def read_moment(data: Reader) -> Frame:
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


def read_index(raw: bytes, place: int, end: int) -> Moments:
    """Raises Malformed where it does not fit what is before it."""
    data = Reader(raw, INDEXED * _CELLS_INDEXED)
    number = data.size(INDEXED)
    index = Moments()
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
