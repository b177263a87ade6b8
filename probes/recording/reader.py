"""Recordings for replay (`writer` writes them). Input is untrusted.

A file that is no recording raises RecordingError; damage within one raises Malformed, moment by
moment.

Opening takes no longer than a second and less than 200 MB, whatever is in the file: moments are
kept column by column, and those that take longer to find are looked for while it plays (`look_on`).
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Callable, Mapping
from copy import copy
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Protocol

from probes.model import Hook
from probes.recording.bookmarks import Bookmark, Marker, Moment
from probes.recording.codec import MOST_CELLS, TOO_LARGE, Malformed, Reader
from probes.recording.compat import SchemaAdapter
from probes.recording.decoder import MOST_HOOKS, NAME
from probes.recording.encoder import Layout, Tick
from probes.recording.index import (
    MOST_HEADER,
    Heads,
    Moments,
    octets_at,
    read_index,
    read_moment,
    record,
)
from probes.recording.tape import MOST_SOUGHT, Frame, Timeline, between, most_compressed, most_raw
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
"""Moments of one recording that are shown: three days, one a second."""
_MOST_INDEX = 1 << 24
"""Bytes of the index before it is compressed."""
_MOST_HOST = 1 << 20
"""Bytes of the record that names the host."""
_NAMED, _LETTERS = 5, 60
"""Unknown hooks that are named; letters of each."""
_TORN, _MOST_TORN = 64, 1 << 26
"""Frames at the end that may be torn, and bytes of them in all."""
_JUMP, _MOST_JUMPS, _LATELY = 2.0, 16, 1000
"""Excess seconds between moments that suggest a clock change; such places examined; least moments.

More such places are taken as they are. The last is the number of moments that tell what is usual.
"""
_LOOK_SECONDS, _A_LITTLE, _FEW = 0.4, 0.02, 16
"""Seconds to look for moments without an index: at opening, and at each moment played.

Least number.

150,000 are found at opening on an idle machine.
"""


class MomentLimit(Protocol):
    """An adapter of moments to the memory that there is, one after the other."""

    @property
    def cells(self) -> int:
        """About as many cells as the moment had that was read last."""
        ...

    def tick(self, tick: Tick, hooks: Mapping[str, Hook]) -> Tick:
        """Return the moment with as many rows as there is room for."""
        ...

    def another(self) -> MomentLimit:
        """Return one for other moments, within the same memory."""
        ...


class Recording(Timeline):
    """A recording that can be replayed. Raises RecordingError where the file is not one.

    recall: a function that knows further hooks by name. cells: that a moment may have. room: leaves
    out what of it may not be kept; None: nothing. host: whose it is. note: what is incomplete about
    it, or "". Moments that cannot be read raise Malformed, each by itself.
    """

    def __init__(
        self,
        path: Path,
        hooks: Mapping[str, Hook],
        recall: Callable[[str], Hook | None] = lambda _: None,
        cells: int = MOST_CELLS,
        room: MomentLimit | None = None,
    ) -> None:
        self.path = path
        try:
            self._fd = opened(path)
        except OSError as failed:
            raise RecordingError(f"{name_of(path)} cannot be read: {failed.strerror}") from None
        try:
            self.host, names = self._begin()
            self.note, begin = "", time.monotonic()
            self._heads = Heads(self._fd, self._size, self._size)
            self._frames = self._indexed() or self._found(begin + _LOOK_SECONDS)
        except Malformed:
            self.close()
            raise RecordingError(f"{name_of(path)} is damaged at its beginning") from None
        except RecordingError:
            self.close()
            raise
        if not self._frames:
            self.close()
            raise RecordingError(f"{name_of(path)} has no complete moment in it")
        self._keys = self._frames.keys
        known = {name: hook for name, hook in hooks.items() if name in names}
        others = {name: recall(name) for name in names if name not in hooks}
        known |= {n: hook for n, hook in others.items() if hook is not None and hook.name == n}
        super().__init__(known, cells)
        self._adapter = SchemaAdapter(known)
        self._room = room
        self._forget()
        unknown = [name for name in names if name not in known]
        if unknown:
            more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
            named = ", ".join([name[:_LETTERS] for name in unknown[:_NAMED]])
            space = " " if self.note else ""
            self.note += f"{space}This program does not know {named}{more}."

    def another(self) -> Recording:
        """Return the same, to be read elsewhere at the same time; to be closed, too.

        Its moments may have as many cells as the one that is read here leaves: those that have
        more raise Malformed.
        """
        twin = copy(self)
        taken = self._room.cells if self._room is not None else 0
        Timeline.__init__(twin, self.hooks, max(self.most_cells - taken, 0))
        twin._adapter = SchemaAdapter(self.hooks)
        twin._room = self._room and self._room.another()
        twin._fd = os.dup(self._fd)
        twin._heads = Heads(twin._fd, self._size, self._size)  # what is found is found for both
        twin._forget()
        return twin

    def _forget(self) -> None:
        """Forget what was derived from all moments."""
        self._moments: list[Moment] = []
        self._clocks, self._jumps, self._jump_work = array("d"), 0, 0
        self._marker = Marker()

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
        known = self._moments
        known += map(self._frames.moment, range(len(known), self.end))
        return known

    def marks(self) -> list[Bookmark]:
        self._marker.add(self.moments())
        return self._marker.found

    def wall(self, number: int) -> float:
        return self._frames.walls[number]

    def clock(self, number: int) -> float:
        if number >= len(self._clocks):
            self._run()
        return self._clocks[number]

    def _run(self) -> None:
        """Return the clock of each moment found meanwhile.

        From the index, and where that jumps, from what the two moments have read.
        """
        clocks, walls = self._clocks, self._frames.walls
        begin = max(len(clocks) - 1, 0)
        gaps = [after - before for before, after in pairwise(walls[max(begin - _LATELY, 0) :])]
        usual = sorted(gaps)[len(gaps) // 2] if gaps else 0.0
        gaps = gaps[min(begin, _LATELY) :]
        for number, gap in enumerate(gaps):
            if not 0 <= gap <= 3 * usual + _JUMP:
                gaps[number] = self._passed(begin + number, max(gap, 0.0))
        if not clocks:
            clocks.append(0.0)
        clocks.extend(array("d", list(accumulate(gaps, initial=clocks[-1]))[1:]))

    def _passed(self, number: int, gap: float) -> float:
        """Return the seconds from a moment to the next, where the clock may have been set."""
        self._jumps += 1
        if self._jumps > _MOST_JUMPS or self._jump_work >= MOST_SOUGHT:
            return gap
        before = self.work
        try:
            return between(self.at(number), self.at(number + 1))
        except Malformed:
            return gap
        finally:
            self._jump_work += self.work - before

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
        if frame.size > most_raw(self.most_cells):
            raise Malformed(TOO_LARGE)
        if length > most_compressed(frame.size) + MOST_HEADER:
            raise Malformed("a moment has the wrong length")
        kind, payload = record(self._fd, place, place + length)
        if kind != b"F" or len(payload) != length - HEAD.size:
            raise Malformed("a moment is damaged")
        data = Reader(payload)
        if read_moment(data)._replace(data=b"") != frame:
            raise Malformed("a moment differs from the index")
        return frame._replace(data=data.rest())

    def _begin_group(self) -> None:
        super()._begin_group()
        self._adapter = SchemaAdapter(self.hooks)

    def _adapted(self, tick: Tick, layouts: Mapping[str, Layout]) -> Tick:
        tick = self._adapter.tick(tick, layouts)
        return tick if self._room is None else self._room.tick(tick, self.hooks)

    def _begin(self) -> tuple[Host, tuple[str, ...]]:
        head = octets_at(self._fd, 0, len(MAGIC) + 12)
        line, newline, _ = head.removeprefix(MAGIC).partition(b"\n")
        if not head.startswith(MAGIC) or not newline or not line.isdigit():
            raise RecordingError(f"{name_of(self.path)} is not a recording of ebpftop")
        if int(line) > VERSION:
            newer = f"written by a newer ebpftop (format {int(line)}, this one reads {VERSION})"
            raise RecordingError(f"{name_of(self.path)} was {newer}; replay it with that version")
        self._size = os.fstat(self._fd).st_size
        place = len(MAGIC) + len(line) + 1
        kind, payload = record(self._fd, place, min(self._size, place + HEAD.size + _MOST_HOST))
        if kind != b"H":
            raise Malformed("it does not name its host")
        self._start = place + HEAD.size + len(payload)
        return _read_host(Reader(payload))

    def _indexed(self) -> Moments | None:
        """Return the moments by the index, if the recording was ended properly."""
        try:
            place, mark = END.unpack(octets_at(self._fd, self._size - END.size, END.size))
            if mark != MARK or not self._start <= place < self._size:
                return None
            kind, payload = record(self._fd, place, self._size - END.size)
            if kind != b"I":
                return None
            inflate = zlib.decompressobj()
            raw = inflate.decompress(payload, _MOST_INDEX)
            del payload
            index = read_index(raw, self._start, place)
        except (Malformed, zlib.error, struct.error):
            return None
        return index if index and index.keys[:1] == [0] else None

    def _found(self, end: float) -> Moments:
        """Return the moments by the heads of frames, up to the last whole one or as time allows."""
        index, self._heads.place = Moments(), self._start
        self._look(index, max(end, time.monotonic() + _LOOK_SECONDS / 4))
        return index

    def look_on(self, number: int = 0) -> None:
        """Look for further moments if there is no index.

        For a little while, or until there are so many, or (seconds) all.
        """
        heads = self._heads
        while heads.place < heads.end:
            self._look(self._frames, time.monotonic() + _A_LITTLE)
            if len(self._frames) >= number:
                break

    def _look(self, index: Moments, until: float) -> None:
        heads = self._heads
        try:
            heads.add(index, _FEW)
            while heads.place < heads.end and len(index) < MOST_MOMENTS:
                if time.monotonic() >= until:
                    break
                heads.add(index, min(_FEW, MOST_MOMENTS - len(index)))
        except Malformed:
            heads.place = heads.end
        if heads.place < heads.end:
            self.note = f"It has no index: moments after {_last(index)} are found while it plays."
            if len(index) >= MOST_MOMENTS:
                heads.place = heads.end
                left = f"moments after {_last(index)} are left out"
                self.note = f"It has no index, and is too long: {left}."
            return
        self._throw_out_torn(index)
        if index:
            why = "It is still being recorded" if self._locked() else "It was not ended properly"
            self.note = f"{why}: its last complete moment is {_last(index)}."

    def _throw_out_torn(self, index: Moments) -> None:
        """Discard the last frame if only a part of it is there."""
        left = _MOST_TORN
        for _ in range(_TORN):
            if not index or (left := left - index.lengths[-1]) < 0:
                return
            try:
                record(self._fd, index.places[-1], self._size)
            except Malformed:
                index.pop()
                self._forget()
            else:
                return

    def _locked(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        return False


def _last(index: Moments) -> str:
    """Return the wall-clock time of the last moment."""
    return time.strftime("%H:%M:%S", time.localtime(index.walls[-1])) if index else ""


def _read_host(data: Reader) -> tuple[Host, tuple[str, ...]]:
    """Return the host and the names of the hooks, both printable."""
    name, kernel, privilege = (printable(data.text(NAME)) for _ in range(3))
    host = Host(name, kernel, privilege, data.size(1) == 1)
    return host, tuple([printable(data.text(NAME)) for _ in range(data.size(MOST_HOOKS))])
