r"""A recording on disk: the frames of a tape, one after the other, and an index at the end.

    ebpftop-recording/2\n
    kind, length, crc32, payload        H: whose it is; F: a moment; I: the index
    ...
    place of the index, "ebpf.end"      only where the recording was ended properly

One that was cut off (a crash, a full disk) has no index and opens up to its last whole frame. Input
of `reader` is untrusted.
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
import zlib
from collections.abc import Iterable
from contextlib import suppress
from errno import EDQUOT, EEXIST, EISDIR, ENOSPC
from pathlib import Path

from probes.recording import files
from probes.recording.codec import Writer
from probes.recording.tape import Frame
from probes.source import Host
from probes.units import printable

MAGIC, VERSION = b"ebpftop-recording/", 2
HEAD = struct.Struct("<cII")
END = struct.Struct("<Q8s")
MARK = b"ebpf.end"
INDEXED = 1 << 18
"""Moments that an index is written for: three days, one a second; others are found by reading."""


class RecordingError(Exception):
    """A file that cannot be written, or is no recording; one sentence with the file's name."""


class NoSpace(RecordingError):
    """The disk is full; whole moments up to then can be read."""


def opened(path: Path) -> int:
    """Return an open file. Raises OSError, and RecordingError for anything but a regular file."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    kind = os.fstat(fd).st_mode
    if stat.S_ISREG(kind):
        return fd
    os.close(fd)
    what = "a directory" if stat.S_ISDIR(kind) else "not a regular file"
    raise RecordingError(f"{name_of(path)} is {what}, and not a recording")


def name_of(path: Path) -> str:
    return printable(str(path))


class RecordingFile:
    """A recording in the making. Each moment is in the file when `write` returns.

    hooks: the names of those that may be in it. force: replace an older recording, once there is a
    moment in the new one. The file is for the user alone (mode 0600); under sudo, for the user who
    called it. Raises RecordingError.
    """

    def __init__(
        self, path: Path, host: Host, hooks: Iterable[str], *, force: bool = False
    ) -> None:
        self.path = path
        self.moments = 0
        self._older = _older(path) if force else -1
        try:
            self._file = _create(path, over=self._older >= 0)
        except RecordingError:
            self._let_older_go()
            raise
        self._fd = self._file.fd
        self._size = 0
        self._index: list[tuple[int, Frame]] = []
        try:
            with suppress(OSError):  # not every file system has locks
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._put(MAGIC + b"%d\n" % VERSION)
            self._record(b"H", _host(host, hooks))
        except RecordingError:
            self._file.discard()
            self._let_go()
            raise

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._size

    def write(self, frame: Frame) -> None:
        """Add a moment; the first has to be a key frame.

        A full disk ends the recording: whole moments stay, and it is ended as by `close`.
        """
        out = Writer()
        _write_moment(out, frame)
        place = self._size
        self._record(b"F", bytes(out.data) + frame.data)
        if not self.moments:
            self._named()
        self._index.append((self._size - place, frame._replace(data=b"")))
        self.moments += 1

    def _named(self) -> None:
        """Give it its name, now that there is a moment worth replacing an older recording."""
        try:
            self._file.commit()
        except OSError as failed:
            self._file.discard()
            self._let_go()
            raise RecordingError(f"{name_of(self.path)}: {failed.strerror}") from None
        self._let_older_go()

    def _let_older_go(self) -> None:
        """Release the older recording, which was locked so that no two replace it."""
        if self._older >= 0:
            os.close(self._older)
            self._older = -1

    def close(self) -> None:
        """Write the index; nothing is lost where there is no space for it.

        A file without any moment is removed.
        """
        if self._fd < 0:
            return
        with suppress(RecordingError):
            if not self.moments:
                self._file.discard()
            elif len(self._index) <= INDEXED:
                place = self._size
                self._record(b"I", zlib.compress(_index(self._index)))
                self._put(END.pack(place, MARK))
        self._let_go()

    def _let_go(self) -> None:
        if self._fd >= 0:
            with suppress(OSError):
                os.fsync(self._fd)
            self._file.close()
            self._fd = -1
        self._let_older_go()

    def _record(self, kind: bytes, payload: bytes) -> None:
        self._put(HEAD.pack(kind, len(payload), zlib.crc32(kind + payload)) + payload)

    def _put(self, octets: bytes) -> None:
        left = memoryview(octets)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError as failed:
            with suppress(OSError):
                os.ftruncate(self._fd, self._size)
            if not self.moments:
                self._file.discard()
            if failed.errno in (ENOSPC, EDQUOT):
                self._let_go()
                raise NoSpace(f"{name_of(self.path)}: the disk is full: {self._whole}") from None
            raise RecordingError(f"{name_of(self.path)}: {failed.strerror}") from None
        self._size += len(octets)

    @property
    def _whole(self) -> str:
        if not self.moments:
            return "nothing was recorded"
        return f"the recording ends after {self.moments} moments, which can be replayed"


def _create(path: Path, *, over: bool) -> files.NewFile:
    try:
        return files.NewFile(path, over=over)
    except OSError as failed:
        if failed.errno in (EEXIST, EISDIR):
            what = "is there already; --force overwrites it"
            if path.is_dir():
                what = "is a directory"
            elif path.is_symlink():
                what = "is a link, and is not overwritten"
            raise RecordingError(f"{name_of(path)} {what}") from None
        raise RecordingError(f"{name_of(path)} cannot be written: {failed.strerror}") from None


def _older(path: Path) -> int:
    """Return an older recording, locked; -1: nothing is there.

    Nothing else is overwritten by mistake, nor a recording that is being made.
    """
    try:
        fd = opened(path)
    except FileNotFoundError:
        return -1
    except OSError as failed:
        raise RecordingError(f"{name_of(path)} cannot be written: {failed.strerror}") from None
    try:
        if path.is_symlink():
            raise RecordingError(f"{name_of(path)} is a link, and is not overwritten")
        if os.fstat(fd).st_size and os.pread(fd, len(MAGIC), 0) != MAGIC:
            raise RecordingError(f"{name_of(path)} is not a recording, and is not overwritten")
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise RecordingError(f"{name_of(path)} is being recorded at the moment") from None
    except BaseException:
        os.close(fd)
        raise
    return fd


# -- what is in it ---------------------------------------------------------------------------


def _host(host: Host, hooks: Iterable[str]) -> bytes:
    out = Writer()
    for text in (host.title, host.kernel, host.privilege):
        out.text(text)
    out.size(host.demo)
    names = tuple(hooks)
    out.size(len(names))
    for name in names:
        out.text(name)
    return bytes(out.data)


def _write_moment(out: Writer, frame: Frame) -> None:
    moment = frame.moment
    out.real(moment.wall)
    out.size(moment.drops)
    out.size(moment.failures)
    out.size(frame.key | moment.anew << 1)
    out.size(frame.size)
    out.size(len(moment.events))
    for event in moment.events:
        out.text(event)


def _index(entries: Iterable[tuple[int, Frame]]) -> bytes:
    """Return the index column by column, so that it is read at once: record lengths and moments."""
    out = Writer()
    rows, events = [], []
    for n, (length, f) in enumerate(entries):
        m = f.moment
        rows.append((length, m.wall, m.drops, m.failures, f.key | m.anew << 1, f.size))
        if m.events:
            events.append((n, m.events))
    out.size(len(rows))
    if rows:
        out.rows(rows, None)
    for n, phrases in events:
        out.size(n + 1)
        out.size(len(phrases))
        for phrase in phrases:
            out.text(phrase)
    out.size(0)
    return bytes(out.data)
