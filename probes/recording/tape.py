"""The last minutes of every hook, compressed in memory, for rewinding and saving.

    tape = Tape(source.catalogue)
    tape.add(tick)                       # a tick: frames.Tick; `Gathering` makes them
    tape.at(tape.end - 1).samples        # any moment, forth and back
    tape.snapshots(tape.end - 60)        # the same with its rates, as the screen had it

Moments are numbered from 0 on and keep their number: those that are held are `first` <= n < `end`.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from math import inf
from typing import Any, NamedTuple

from probes.analysis.flows import Since
from probes.analysis.funnel import remember
from probes.analysis.snapshot import Snapshot, Trail, WindowRoom
from probes.model import Enforced, Hook, HookId, Sample, Status
from probes.recording.bookmarks import Bookmark, Bookmarker, Moment, marks
from probes.recording.codec import MOST_CELLS, TOO_LARGE, Malformed
from probes.recording.decoder import Decoder
from probes.recording.encoder import Encoder, Layout, Tick

TAPE_SECONDS, MOST_BYTES = 900.0, 64 << 20
"""Limits of a tape: the last 15 minutes, in no more memory than this."""
KEY_EVERY, KEY_BYTES = 45, 4 << 20
"""Frames, and bytes of frames, from one key frame to the next: a jump decodes that many at most."""
LEVEL = 5
MOST_FRAME = 1 << 25
"""Bytes of a frame before it is compressed."""
_OURS = 1 << 30
"""Cells of a moment that this program has read itself: unlimited."""
_FAR, _MOST_BEGUN = 2000, 200
"""Moments within which a readable one is sought; and resets of counting that are examined."""
_MOST_GROUP, _MOST_WINDOW = 4 * KEY_EVERY, 512
"""Moments from one key frame to the next, and in a window, that are read: no tape has as many."""
MOST_SOUGHT, _MOST_LOOKED = MOST_CELLS, 10 * MOST_CELLS
"""Cells made at the most while a readable moment is sought, and for a window: a second or so.

A cell is what `codec.Reader` counts.
"""
_OCTETS = 16
"""Bytes that are decompressed in the time of a cell."""
_DECODED_ROWS, _DECODED, _DECODED_NEAR = 30_000, 128, 12
"""Decoded moments kept for a step back.

Rows in all, moments, and moments only passed on the way.
"""


def most_raw(cells: int) -> int:
    """Return the bytes of the largest frame that makes no more than so many cells."""
    return min(4 * cells, MOST_FRAME)


def most_compressed(size: int) -> int:
    """Return the bytes that a frame of so many may have: any more would be empty."""
    return size + (size >> 8) + 64


class Frame(NamedTuple):
    """A moment, compressed with those since the last key frame. size: bytes before that."""

    moment: Moment
    key: bool
    size: int
    data: bytes | memoryview


class Timeline(ABC):
    """Moments for access in any order: a tape's or a file's.

    Raises Malformed where one cannot be read, IndexError where there is none (any more).
    """

    def __init__(self, hooks: Mapping[str, Hook], cells: int = MOST_CELLS) -> None:
        """Begin with no moments. cells: that a moment may have."""
        self.hooks, self.most_cells = hooks, cells
        self._decoded: dict[int, Tick] = {}
        self._rows = 0
        self._cursor = -2
        self.work = self._wasted = 0
        self._damaged: dict[int, tuple[int, str]] = {}
        self._decoder, self._inflate = Decoder(cells), zlib.decompressobj(-15)
        self._since: dict[HookId, Sample] = {}
        self._since_until = -1

    @property
    @abstractmethod
    def first(self) -> int:
        """The number of the oldest moment."""

    @property
    @abstractmethod
    def end(self) -> int:
        """One more than the number of the newest."""

    @abstractmethod
    def moment(self, number: int) -> Moment:
        """Return what is known of a moment without decoding it."""

    @property
    def hopeless(self) -> bool:
        """Return whether so much was tried in vain, one after the other, that no more should be."""
        return self._wasted > _MOST_LOOKED

    def wall(self, number: int) -> float:
        """Return its time, Unix seconds."""
        return self.moment(number).wall

    def anew(self, number: int) -> bool:
        """Return whether some hook's counting begins there."""
        return self.moment(number).anew

    @abstractmethod
    def _frame(self, number: int) -> Frame: ...

    @abstractmethod
    def key_after(self, number: int) -> int | None:
        """Return the next key frame; None: there is none."""

    @abstractmethod
    def _key_of(self, number: int) -> int:
        """Return the key frame at or before that one."""

    def __len__(self) -> int:
        return self.end - self.first

    def moments(self) -> list[Moment]:
        """Return all, oldest first, for drawing a time bar. Not to be changed."""
        return [self.moment(n) for n in range(self.first, self.end)]

    def marks(self) -> list[Bookmark]:
        """Return where something begins: drops, failures, hooks and rules that come and go."""
        return marks(self.moments(), self.first)

    @abstractmethod
    def clock(self, number: int) -> float:
        """Return seconds that only grow, even when the host's clock is set; from any origin."""

    def near(self, wall: float) -> Iterator[int]:
        """Return each moment that was current when the clock said so.

        If none was, the previous one.
        """
        found, latest, begin = False, (-inf, -1), self.wall(self.first)
        for number in range(self.first, self.end - 1):
            if begin <= wall:
                latest = max(latest, (begin, number))
            end = self.wall(number + 1)
            if begin <= wall < end or (
                end < begin <= wall < begin + self.clock(number + 1) - self.clock(number)
            ):
                found = True
                yield number
            begin = end
        if begin <= wall:
            latest = max(latest, (begin, self.end - 1))
        if not found and latest[1] >= 0:
            yield latest[1]

    def away(self, number: int, seconds: float) -> int:
        """Return the moment that was current so many seconds after that one, or before it (< 0).

        The oldest where none was.
        """
        there = self.clock(number) + seconds
        found = bisect_right(range(self.first, self.end), there, key=self.clock)
        return self.first + max(found, 1) - 1

    def at(self, number: int) -> Tick:
        """Return a whole moment.

        The next and the last few are cheap; any other decodes from its key.
        """
        if not self.first <= number < self.end:
            raise IndexError(number)
        known = self._decoded.get(number)
        if known is not None:
            return known
        key = self._key_of(number)
        self._check_group(key, number)
        if not key <= self._cursor < number:
            self._cursor = key - 1
        try:
            while self._cursor < number:
                tick = self._decode(self._frame(self._cursor + 1))
                self._cursor += 1
                if number - self._cursor < _DECODED_NEAR:
                    tick = self._adapted(tick, self._decoder.layouts)
                    self._keep(self._cursor, tick)
        except Malformed as why:
            if len(self._damaged) < _FAR:
                self._damaged[key] = self._cursor + 1, str(why)
            self._cursor = -2
            raise
        return tick

    def _check_group(self, key: int, number: int) -> None:
        """Raise Malformed where reading is known to fail, or for too much between two key frames.

        Going to a moment decodes all of it.
        """
        if key in self._damaged and self._damaged[key][0] <= number:
            raise Malformed(self._damaged[key][1])
        if number - key > _MOST_GROUP or self._group_size(key, number) > KEY_BYTES:
            raise Malformed("it is too far from a whole moment")

    @abstractmethod
    def _group_size(self, key: int, number: int) -> int:
        """Return the bytes of the frames between the two, before they are compressed."""

    def _decode(self, frame: Frame) -> Tick:
        while self._rows > _DECODED_ROWS:  # there is room for the one that is being made
            self._drop_oldest()
        if frame.key:
            self._begin_group()
        if not 0 < frame.size <= most_raw(self.most_cells):
            raise Malformed(TOO_LARGE)
        before = self.work
        self.work += frame.size // _OCTETS
        try:
            tick = self._decompressed(frame)
        except Malformed:
            self._wasted += self.work - before
            raise
        self._wasted = 0
        return tick

    def _begin_group(self) -> None:
        """Begin at a key frame: nothing from before is needed, and there is room for one."""
        self._decoder = Decoder(self.most_cells)
        self._inflate = zlib.decompressobj(-15)

    def _decompressed(self, frame: Frame) -> Tick:
        if len(frame.data) > most_compressed(frame.size):
            raise Malformed("a moment has the wrong length")
        try:
            raw = self._inflate.decompress(frame.data, frame.size + 1)
        except zlib.error:
            raise Malformed("it cannot be decompressed") from None
        if len(raw) != frame.size:
            raise Malformed("a moment has the wrong length")
        try:
            return self._decoder.decode(raw, key=frame.key)
        finally:
            self.work += self._decoder.spent

    def _adapted(self, tick: Tick, _layouts: Mapping[str, Layout]) -> Tick:
        """Return the moment in terms of this program's hooks."""
        return tick

    def _keep(self, number: int, tick: Tick) -> None:
        self._decoded[number] = tick
        self._rows += _rows(tick)
        while len(self._decoded) > 1 and (
            self._rows > _DECODED_ROWS or len(self._decoded) > _DECODED
        ):
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        oldest = next(iter(self._decoded))
        self._rows -= _rows(self._decoded.pop(oldest))

    def window(self, number: int, seconds: float = Trail.WINDOW) -> Iterator[tuple[int, Tick]]:
        """Return the moments that reach so far back before one, and that one, oldest first."""
        last = self.at(number)
        begin = self.away(number, -seconds - last.interval)
        begin, work = min(max(begin, number - _MOST_WINDOW), number), self.work
        for n, tick in self.readable(begin, number):
            yield n, tick
            if self.work - work > _MOST_LOOKED:
                break  # rates and windows are those of the last moment alone
        yield number, last

    def readable(self, begin: int, end: int, enough: float = inf) -> Iterator[tuple[int, Tick]]:
        """Yield the moments from one until before another, without those that cannot be read.

        After a damaged moment those are all that follow up to the next key frame. enough: what
        `_work` may come to.
        """
        n: int | None = max(begin, self.first)
        while n is not None and n < min(end, self.end) and self.work < enough:
            try:
                tick = self.at(n)
            except Malformed:
                n = self.key_after(n)
            else:
                yield n, tick
                n += 1

    def readable_near(self, number: int) -> tuple[int, Tick] | None:
        """Return that moment or one near it: the next, else the last before.

        None: none can be read.
        """
        enough = self.work + MOST_SOUGHT - self._wasted
        for n, tick in self.readable(number, min(self.end, number + _FAR), enough):
            return n, tick
        end, least = number, number - _FAR
        while end > max(self.first, least) and self.work < enough:
            key = self._key_of(end - 1)
            if found := deque(self.readable(key, end), maxlen=1):
                return found[0]
            end = key
        return None

    def snapshots(self, number: int) -> dict[HookId, Snapshot]:
        """Return everything attached at a moment, with its rates and its 10 s window."""
        return {
            s.id: s
            for trail, samples in self.trails(number).values()
            for s in trail.snapshots(samples)
        }

    def trails(self, number: int) -> dict[str, tuple[Trail, tuple[Sample, ...]]]:
        """Return each hook's readings in the window before a moment, and its last reading."""
        trails: dict[str, Trail] = {}
        last: dict[str, tuple[Sample, ...]] = {}
        before: Tick | None = None
        room = WindowRoom()
        for _, tick in self.window(number):
            for hook, samples in tick.fresh(before).items():
                trail = trails.setdefault(hook, Trail(self.hooks[hook], room=room))
                if hook in last:
                    trail.feed(last[hook])
                last[hook] = samples
            before = tick
        return {hook: (trails[hook], last[hook]) for hook in (before.samples if before else ())}

    def since(self, number: int) -> Since:
        """Return the samples that counting began with (`funnel.remember`), as of a moment."""
        if number < self._since_until:
            self._since, self._since_until = {}, -1
        begin = max(self._since_until + 1, self.first)
        begun = [n for n in range(begin, number + 1) if n == self.first or self.anew(n)]
        enough = self.work + _MOST_LOOKED
        for n in begun[:1] + begun[1:][-_MOST_BEGUN:]:
            if self.work > enough:
                break
            with suppress(Malformed):  # then it is counted from what can be read
                remember(self._since, (s for v in self.at(n).samples.values() for s in v))
        self._since_until = number
        return dict(self._since)


class Tape(Timeline):
    """The last `seconds` of ticks, in `most` bytes at most. hooks: their catalogue.

    `most` may be set at any time. What is too old, or too much, goes in whole groups from one key
    frame to the next.
    """

    def __init__(
        self, hooks: Mapping[str, Hook], *, seconds: float = TAPE_SECONDS, most: int = MOST_BYTES
    ) -> None:
        super().__init__(hooks, _OURS)
        self._seconds, self.most = seconds, most
        self._encoder, self._bookmarker = Encoder(hooks), Bookmarker(hooks)
        self._deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, -15)
        self._frames: deque[Frame] = deque()
        self._clocks: deque[float] = deque()
        self._latest: Tick | None = None
        self._keys: deque[int] = deque()
        self._first = 0
        self._group = 0
        self.bytes = 0
        "The frames held, compressed."

    @property
    def first(self) -> int:
        return self._first

    @property
    def end(self) -> int:
        return self._first + len(self._frames)

    def moment(self, number: int) -> Moment:
        return self._frame(number).moment

    def moments(self) -> list[Moment]:
        return [frame.moment for frame in self._frames]

    def _frame(self, number: int) -> Frame:
        return self._frames[number - self._first]

    def _group_size(self, _key: int, _number: int) -> int:
        return 0  # it is ours

    def key_after(self, number: int) -> int | None:
        return next((key for key in self._keys if key > number), None)

    def _key_of(self, number: int) -> int:
        return next(key for key in reversed(self._keys) if key <= number)

    def frames(self, begin: int | None = None) -> Iterable[Frame]:
        """Return the frames from a key frame on: the one at or before `begin`, else the first."""
        start = self._first if begin is None else self._key_of(begin)
        return [self._frame(n) for n in range(start, self.end)]

    def cut(self) -> None:
        """Make the next frame a key frame: a recording begins there."""
        self._group = KEY_BYTES

    def add(self, tick: Tick) -> Frame:
        """Take a moment that is newer than those before."""
        key = not self._keys or (self._group >= KEY_BYTES or self.end - self._keys[-1] >= KEY_EVERY)
        if key:
            self._deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, -15)
            self._keys.append(self.end)
            self._group = 0
        raw = self._encoder.encode(tick, key=key)
        data = self._deflate.compress(raw) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        frame = Frame(self._bookmarker.moment(tick), key, len(raw), data)
        self._frames.append(frame)
        before, self._latest = self._latest, tick
        passed = between(before, tick) if before is not None else 0.0
        self._clocks.append(self._clocks[-1] + passed if self._clocks else 0.0)
        self._group += len(raw)
        self.bytes += len(data)
        self._forget(self._clocks[-1])
        return frame

    def clock(self, number: int) -> float:
        return self._clocks[number - self._first]

    def _forget(self, now: float) -> None:
        """Forget whole groups that nothing needs any more; never the newest."""
        while len(self._keys) > 1:
            old = now - self.clock(self._keys[1]) >= self._seconds
            if not old and self.bytes <= self.most:
                return
            for _ in range(self._keys[1] - self._keys[0]):
                self.bytes -= len(self._frames.popleft().data)
                self._clocks.popleft()
                if (gone := self._decoded.pop(self._first, None)) is not None:
                    self._rows -= _rows(gone)
                self._first += 1
            self._keys.popleft()


_APART = 0.5
"""The share of the interval that readings of one tick are apart at most."""


class Gathering:
    """A maker of ticks from the readings of each hook's worker.

    A tick ends when a hook comes a second time, when half an interval has passed since its first
    reading, or when somebody asks for it.
    """

    def __init__(self) -> None:
        self._samples: dict[str, tuple[Sample, ...]] = {}
        self._came: set[str] = set()
        self._began: float | None = None

    def is_whole(self, hook: str, samples: tuple[Sample, ...], interval: float) -> bool:
        """Return whether this reading is of the next tick: then take the one before it."""
        if hook in self._came:
            return True
        if self._began is None or not samples:
            return False
        return samples[0].time - self._began > interval * _APART

    def add(self, hook: str, samples: tuple[Sample, ...]) -> None:
        self._came.add(hook)
        if self._began is None and samples:
            self._began = samples[0].time
        self._samples[hook] = samples

    def tick(
        self, interval: float, statuses: tuple[Status, ...], rules: tuple[Enforced, ...] = ()
    ) -> Tick | None:
        """Return what was read; None: nothing since the last tick. Detached hooks are removed."""
        if not self._came:
            return None
        late = self._samples.keys() - self._came
        known = {s.id for s in statuses} if late else set()
        for hook in late:
            left = tuple([s for s in self._samples[hook] if s.status.id in known])
            if not left:
                del self._samples[hook]
            elif len(left) < len(self._samples[hook]):
                self._samples[hook] = left
        self._came.clear()
        self._began = None
        wall = max((s.wall for kept in self._samples.values() for s in kept), default=0.0)
        return Tick(wall, interval, dict(self._samples), statuses, rules)


def between(before: Tick, tick: Tick) -> float:
    """Return the seconds from one moment to a later one.

    By the host's monotonic clock, unless the host was restarted.
    """
    passed = tick.time - before.time
    known = before.samples and tick.samples and passed >= 0
    return passed if known else max(tick.wall - before.wall, 0.0)


def _rows(tick: Tick) -> Any:
    return sum(len(s.rows) for samples in tick.samples.values() for s in samples)
