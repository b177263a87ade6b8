"""The last minutes of every hook, compressed in memory; what is rewound, and what is saved.

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
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from probes.analysis.flows import Since
from probes.analysis.funnel import remember
from probes.analysis.snapshot import Snapshot, Trail
from probes.model import Enforced, Hook, HookId, Sample, Status
from probes.recording.bookmarks import Mark, Moment, Noticing, marks
from probes.recording.codec import Malformed
from probes.recording.decoder import Decoder
from probes.recording.encoder import Encoder, Layout, Tick

SECONDS, MOST_BYTES = 900.0, 64 << 20
"""What a tape keeps: the last 15 minutes, in no more memory than this."""
KEY_EVERY, KEY_BYTES = 45, 4 << 20
"""Frames, and bytes of frames, from one key frame to the next: a jump decodes that many at most."""
LEVEL = 6
MOST_FRAME = 1 << 25
"""Bytes of a frame before it is compressed."""
_FAR, _MOST_BEGUN = 2000, 200
"""Moments in which another is looked for that can be read; of those at which counting began anew,
how many are looked at: nobody waits for more."""
_KEPT_ROWS, _KEPT, _NEAR = 30_000, 128, 12
"""Decoded moments that are kept for a step back: rows in all of them, moments, and how many of
those that were only decoded on the way to another."""


class Frame(NamedTuple):
    """A moment, compressed with those since the last key frame. size: bytes before that."""

    moment: Moment
    key: bool
    size: int
    data: bytes


class Reel(ABC):
    """Moments to be looked at in any order: a tape's or a file's. Raises Malformed where one
    cannot be read, IndexError where there is none (any more)."""

    def __init__(self, hooks: Mapping[str, Hook]) -> None:
        self.hooks = hooks
        self._decoded: dict[int, Tick] = {}
        self._rows = 0
        self._cursor = -2
        self._decoder, self._inflate = Decoder(), zlib.decompressobj(-15)
        self._since: dict[HookId, Sample] = {}
        self._since_until = -1

    @property
    @abstractmethod
    def first(self) -> int:
        """The number of the oldest moment."""

    @property
    @abstractmethod
    def end(self) -> int:
        """One more than that of the newest."""

    @abstractmethod
    def moment(self, number: int) -> Moment:
        """What is known of a moment without decoding it."""

    @abstractmethod
    def _frame(self, number: int) -> Frame: ...

    @abstractmethod
    def key_after(self, number: int) -> int | None:
        """The next key frame; None: there is none."""

    @abstractmethod
    def _key_of(self, number: int) -> int:
        """The key frame at or before that one."""

    def __len__(self) -> int:
        return self.end - self.first

    def moments(self) -> list[Moment]:
        """All, oldest first: what a time bar is drawn of. Not to be changed."""
        return [self.moment(n) for n in range(self.first, self.end)]

    def marks(self) -> list[Mark]:
        """Where something begins: drops, failures, hooks and rules that come and go."""
        return list(marks(self.moments(), self.first))

    def near(self, wall: float) -> int:
        """The moment that was current at that time (Unix seconds); the oldest where none was."""
        numbers = range(self.first, self.end)
        return (
            self.first + max(bisect_right(numbers, wall, key=lambda n: self.moment(n).wall), 1) - 1
        )

    def at(self, number: int) -> Tick:
        """A moment whole. The next and the last few are cheap; any other decodes from its key."""
        if not self.first <= number < self.end:
            raise IndexError(number)
        known = self._decoded.get(number)
        if known is not None:
            return known
        key = self._key_of(number)
        if not key <= self._cursor < number:
            self._cursor = key - 1
        try:
            while self._cursor < number:
                tick = self._decode(self._frame(self._cursor + 1))
                self._cursor += 1
                if number - self._cursor < _NEAR:
                    tick = self._adapted(tick, self._decoder.layouts)
                    self._keep(self._cursor, tick)
        except Malformed:
            self._cursor = -2
            raise
        return tick

    def _decode(self, frame: Frame) -> Tick:
        if frame.key:
            self._decoder, self._inflate = Decoder(), zlib.decompressobj(-15)
        if not 0 < frame.size <= MOST_FRAME:
            raise Malformed("a moment is larger than any can be")
        try:
            raw = self._inflate.decompress(frame.data, frame.size + 1)
        except zlib.error:
            raise Malformed("it cannot be uncompressed") from None
        if len(raw) != frame.size:
            raise Malformed("a moment is of another length")
        return self._decoder.decode(raw, key=frame.key)

    def _adapted(self, tick: Tick, _layouts: Mapping[str, Layout]) -> Tick:
        """As this program's hooks have it."""
        return tick

    def _keep(self, number: int, tick: Tick) -> None:
        self._decoded[number] = tick
        self._rows += _rows(tick)
        while len(self._decoded) > 2 and (self._rows > _KEPT_ROWS or len(self._decoded) > _KEPT):
            oldest = next(iter(self._decoded))
            self._rows -= _rows(self._decoded.pop(oldest))

    def window(self, number: int, seconds: float = Trail.WINDOW) -> Iterator[tuple[int, Tick]]:
        """The moments that reach so far back before one, and that one, oldest first."""
        wall, interval = self.moment(number).wall, self.at(number).interval
        begin = min(self.near(wall - seconds - interval), number)
        yield from self.readable(begin, number)
        yield number, self.at(number)

    def readable(self, begin: int, end: int) -> Iterator[tuple[int, Tick]]:
        """From one moment on until before another; without what cannot be read: after a damaged
        moment, what follows up to the next key frame."""
        n: int | None = max(begin, self.first)
        while n is not None and n < min(end, self.end):
            try:
                tick = self.at(n)
            except Malformed:
                n = self.key_after(n)
            else:
                yield n, tick
                n += 1

    def readable_near(self, number: int) -> tuple[int, Tick] | None:
        """That moment or one near it: the next, else the last before; None: none is."""
        for n, tick in self.readable(number, min(self.end, number + _FAR)):
            return n, tick
        end, least = number, number - _FAR
        while end > max(self.first, least):
            key = self._key_of(end - 1)
            if found := deque(self.readable(key, end), maxlen=1):
                return found[0]
            end = key
        return None

    def snapshots(self, number: int) -> dict[HookId, Snapshot]:
        """Everything that stood at a moment, with its rates and its 10 s window."""
        return {
            s.id: s
            for trail, samples in self.trails(number).values()
            for s in trail.snapshots(samples)
        }

    def trails(self, number: int) -> dict[str, tuple[Trail, tuple[Sample, ...]]]:
        """For each hook what was read in the window before a moment, and its last reading."""
        read: defaultdict[str, list[tuple[Sample, ...]]] = defaultdict(list)
        before: Tick | None = None
        for _, tick in self.window(number):
            for hook, samples in tick.fresh(before).items():
                read[hook].append(samples)
            before = tick
        found = {}
        for hook in before.samples if before is not None else ():
            trail = Trail(self.hooks[hook])
            for samples in read[hook][:-1]:
                trail.feed(samples)
            found[hook] = trail, read[hook][-1]
        return found

    def since(self, number: int) -> Since:
        """The samples that counting began with (`funnel.remember`), as of a moment."""
        if number < self._since_until:
            self._since, self._since_until = {}, -1
        begin = max(self._since_until + 1, self.first)
        begun = [n for n in range(begin, number + 1) if n == self.first or self.moment(n).anew]
        for n in begun[:1] + begun[1:][-_MOST_BEGUN:]:
            with suppress(Malformed):  # then it is counted from what can be read
                remember(self._since, (s for v in self.at(n).samples.values() for s in v))
        self._since_until = number
        return dict(self._since)


class Tape(Reel):
    """The last `seconds` of ticks, in `most` bytes at most. hooks: the catalogue they are by.

    What is too old, or too much, goes in whole groups from one key frame to the next.
    """

    def __init__(
        self, hooks: Mapping[str, Hook], *, seconds: float = SECONDS, most: int = MOST_BYTES
    ) -> None:
        super().__init__(hooks)
        self._seconds, self._most = seconds, most
        self._encoder, self._noticing = Encoder(hooks), Noticing(hooks)
        self._deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, -15)
        self._frames: deque[Frame] = deque()
        self._keys: deque[int] = deque()
        self._first = 0
        self._group = 0
        self.bytes = 0
        """What is held, compressed."""

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

    def key_after(self, number: int) -> int | None:
        return next((key for key in self._keys if key > number), None)

    def _key_of(self, number: int) -> int:
        return next(key for key in reversed(self._keys) if key <= number)

    def frames(self, begin: int | None = None) -> Iterable[Frame]:
        """What is held, from a key frame on: the one at or before `begin`, else the first."""
        start = self._first if begin is None else self._key_of(begin)
        return [self._frame(n) for n in range(start, self.end)]

    def cut(self) -> None:
        """The next frame is to be a key frame: a recording begins there."""
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
        frame = Frame(self._noticing.moment(tick), key, len(raw), data)
        self._frames.append(frame)
        self._group += len(raw)
        self.bytes += len(data)
        self._forget(tick.wall)
        return frame

    def _forget(self, now: float) -> None:
        """Whole groups that nothing needs any more; never the newest."""
        while len(self._keys) > 1:
            old = now - self.moment(self._keys[1]).wall >= self._seconds
            if not old and self.bytes <= self._most:
                return
            for _ in range(self._keys[1] - self._keys[0]):
                self.bytes -= len(self._frames.popleft().data)
                if (gone := self._decoded.pop(self._first, None)) is not None:
                    self._rows -= _rows(gone)
                self._first += 1
            self._keys.popleft()


class Gathering:
    """Makes ticks of what each hook's worker reads: a tick ends when a hook comes a second time,
    or when somebody asks for it."""

    def __init__(self) -> None:
        self._samples: dict[str, tuple[Sample, ...]] = {}
        self._came: set[str] = set()

    def has(self, hook: str) -> bool:
        """Whether the hook was read already: then take the tick before this reading."""
        return hook in self._came

    def add(self, hook: str, samples: tuple[Sample, ...]) -> None:
        self._came.add(hook)
        self._samples[hook] = samples

    def tick(
        self, interval: float, statuses: tuple[Status, ...], rules: tuple[Enforced, ...] = ()
    ) -> Tick | None:
        """What was read; None: nothing since the last tick. What does not stand any more goes."""
        if not self._came:
            return None
        known = {s.id for s in statuses}
        for hook in self._samples.keys() - self._came:
            left = tuple([s for s in self._samples[hook] if s.status.id in known])
            if not left:
                del self._samples[hook]
            elif len(left) < len(self._samples[hook]):
                self._samples[hook] = left
        self._came.clear()
        wall = max((s.wall for kept in self._samples.values() for s in kept), default=0.0)
        return Tick(wall, interval, dict(self._samples), statuses, rules)


def _rows(tick: Tick) -> Any:
    return sum(len(s.rows) for samples in tick.samples.values() for s in samples)
