"""Files for users: new ones, and ones that replace another as a whole.

Nothing is written through a link that somebody else may have put there, nothing waits for a pipe,
and nothing is emptied: what is there stays until all of the new file is. As root for a user who
called sudo, a file belongs to that user if they could have made it themselves.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from contextlib import contextmanager, suppress
from errno import EACCES, EEXIST, EFBIG, EINVAL, EISDIR, ELOOP, EROFS
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_LINKS = 40
MOST_READ = 1 << 20
"""Bytes of a file that people write by hand."""
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class NewFile:
    """A file in the making, for its owner only. fd: open for writing.

    over: it gets its name by `commit`, and replaces the present file then; otherwise at once, and
    an existing file is an error. Raises OSError.
    """

    def __init__(self, path: Path, *, over: bool = False, mode: int = 0o600) -> None:
        self._name, self._folder = _name(path), _opened(path.parent)
        self._now = f".ebpftop-{os.urandom(8).hex()}" if over else self._name
        try:
            self.fd = os.open(self._now, _NEW, mode, dir_fd=self._folder)
        except OSError:
            os.close(self._folder)
            raise
        self._made = os.fstat(self.fd)
        _give(self.fd, os.fstat(self._folder))

    def commit(self) -> None:
        """Give it its name."""
        if self._now != self._name:
            os.rename(self._now, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            self._now = self._name

    def discard(self) -> None:
        """Remove it, unless it is another's by now."""
        with suppress(OSError):
            there = os.stat(self._now, dir_fd=self._folder, follow_symlinks=False)
            if os.path.samestat(there, self._made):
                os.unlink(self._now, dir_fd=self._folder)

    def close(self) -> None:
        """Close it; the file stays."""
        for fd in (self.fd, self._folder):
            if fd >= 0:
                os.close(fd)
        self.fd = self._folder = -1


def write_new(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a new file with that text. Raises OSError, FileExistsError too."""
    with _made(NewFile(path, mode=mode), text):
        pass


def replace(path: Path, text: str | bytes, *, mode: int = 0o600) -> None:
    """Write the text to a file of that name, at once and whole, whatever was in it before.

    An existing file keeps its mode and its owner, where that is ours, the user's or the folder's; a
    new one gets the mode. Raises OSError, also for anything but a regular file.
    """
    before = _plain(path)
    with _made(NewFile(path, over=True, mode=mode), text) as new:
        if before is not None and before.st_uid in {os.geteuid(), *_persons(), _owner(path)}:
            os.fchmod(new.fd, before.st_mode & 0o777)
            with suppress(OSError):  # whose it was cannot be kept without privilege
                os.fchown(new.fd, before.st_uid, before.st_gid)


def read(path: Path, most: int = MOST_READ) -> str:
    """Return the text of a small regular file, through links, as the user behind sudo may read it.

    Raises OSError where it is none, is larger than `most` bytes, or is not for that user to read;
    UnicodeDecodeError.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        there = os.fstat(fd)
        if not stat.S_ISREG(there.st_mode):
            raise OSError(EINVAL, "it is not a regular file", str(path))
        if not _readable(there):
            raise OSError(EACCES, "this user may not read it", str(path))
        with os.fdopen(fd, "rb", closefd=False) as file:
            text = file.read(most + 1)
    finally:
        os.close(fd)
    if len(text) > most:
        raise OSError(EFBIG, f"it is larger than {most >> 20} MB", str(path))
    return text.decode()


def _readable(there: os.stat_result) -> bool:
    """Return whether the user who called sudo could have read it; root's own bits do not matter."""
    found = person()
    if found is None or there.st_uid == found[0]:
        return True
    return bool(there.st_mode & (stat.S_IRGRP if there.st_gid == found[1] else stat.S_IROTH))


def check(path: Path) -> None:
    """Raise OSError where `replace` could not write; nothing is changed."""
    _plain(path)
    folder = _opened(path.parent)
    try:
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=folder, effective_ids=True):
            raise OSError(EACCES, os.strerror(EACCES), str(path))
        if os.fstatvfs(folder).f_flag & os.ST_RDONLY:
            raise OSError(EROFS, os.strerror(EROFS), str(path))
    finally:
        os.close(folder)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it; new ones are for their owner only."""
    for folder in (*reversed(path.absolute().parents), path.absolute()):
        try:
            os.close(_opened(folder))
        except FileNotFoundError:
            _make_one(folder)


def person() -> tuple[int, int] | None:
    """Return user and group who called sudo; None: nobody did."""
    if os.geteuid():
        return None
    try:
        uid, gid = int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"])
    except (KeyError, ValueError):
        return None
    return (uid, gid) if 0 < uid < 1 << 32 and 0 <= gid < 1 << 32 else None


@contextmanager
def _made(new: NewFile, text: str | bytes) -> Iterator[NewFile]:
    """Write a file with the text; it has its name in the end, or is gone."""
    data = text.encode("utf-8", "backslashreplace") if isinstance(text, str) else text
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(new.fd, left) :]
        yield new
        os.fsync(new.fd)
        new.commit()
    except BaseException:
        new.discard()
        raise
    finally:
        new.close()


def _plain(path: Path) -> os.stat_result | None:
    """Return the status of the file there; None: nothing.

    Raises OSError if it is not a regular file.
    """
    folder = _opened(path.parent)
    try:
        there = os.stat(_name(path), dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    finally:
        os.close(folder)
    if stat.S_ISLNK(there.st_mode):
        raise OSError(ELOOP, "it is a link, and nothing is written through a link", str(path))
    if not stat.S_ISREG(there.st_mode):
        raise OSError(EEXIST, "it exists and is not a regular file", str(path))
    return there


def _owner(path: Path) -> int:
    folder = _opened(path.parent)
    try:
        return os.fstat(folder).st_uid
    finally:
        os.close(folder)


def _persons() -> tuple[int, ...]:
    found = person()
    return found[:1] if found is not None else ()


def _give(fd: int, folder: os.stat_result) -> None:
    """Give it to the user behind sudo, if they could have made it.

    In a folder of theirs, or of all.
    """
    found = person()
    if found is not None and (folder.st_uid == found[0] or folder.st_mode & stat.S_IWOTH):
        with suppress(OSError):
            os.fchown(fd, *found)


def _persons_own(folder: os.stat_result) -> bool:
    """Return whether the user behind sudo could make a file there without us."""
    uid, gid = person() or (0, 0)
    by_group = folder.st_gid == gid and folder.st_mode & stat.S_IWGRP
    return bool(folder.st_uid == uid or by_group or folder.st_mode & stat.S_IWOTH)


def _make_one(folder: Path) -> None:
    above = _opened(folder.parent)
    try:
        os.mkdir(folder.name, 0o700, dir_fd=above)
        there = os.open(folder.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
        try:
            _give(there, os.fstat(above))
        finally:
            os.close(there)
    except FileExistsError:
        pass  # another one of us was faster
    finally:
        os.close(above)


def _name(path: Path) -> str:
    name = path.name
    if not name:
        raise OSError(EISDIR, os.strerror(EISDIR), str(path))
    if "\0" in name:
        raise OSError(EINVAL, "that is not a file name")
    return name


def _opened(folder: Path) -> int:
    """Return the folder, through no link but root's, ours and the user's. Raises OSError.

    The user's links lead only to where they could write themselves: sudo may allow them nothing
    else.
    """
    if "\0" in str(folder):
        raise OSError(EINVAL, "that is not a folder name")
    at, links, lent = os.open("/", _FOLDER), 0, False
    left = deque(folder.absolute().parts[1:])
    try:
        while left:
            part = left.popleft()
            there = os.stat(part, dir_fd=at, follow_symlinks=False)
            if stat.S_ISLNK(there.st_mode):
                links += 1
                if links > _MOST_LINKS or there.st_uid not in {0, os.geteuid(), *_persons()}:
                    raise OSError(
                        ELOOP, "the path contains a link that belongs to another user", str(folder)
                    )
                lent |= there.st_uid not in (0, os.geteuid())
                target = Path(os.readlink(part, dir_fd=at))
                left.extendleft(reversed(target.parts))
                continue
            further = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = further
        if lent and not _persons_own(os.fstat(at)):
            raise OSError(ELOOP, "the path contains a link to another user's folder", str(folder))
    except BaseException:
        os.close(at)
        raise
    return at
