"""Unpacking the one file, as compiled libraries cannot be loaded out of an archive.

It goes below ~/.cache/ebpftop-onefile ($XDG_CACHE_HOME); for root, with sudo too, below
/var/cache/ebpftop-onefile: a folder of its owner alone, that nobody else can put another in place
of, as what is in it runs with its owner's privileges.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import shutil
import stat
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

NAME = "ebpftop-onefile"
LOCK = ".lock"
"""Held (flock) by each process that runs from a folder; what is unfinished has none."""
UNFINISHED = ".new-"
ABANDONED = 600
"""Seconds after which the maker of an unfinished folder is taken for dead."""
_held: list[int] = []


class Refused(Exception):
    """It cannot be unpacked; one sentence, without its full stop."""


def unpacked(archive: str, about: Mapping[str, Any]) -> str:
    """Return the folder to run from, which stays while this process lives. Raises Refused."""
    folder = base(os.environ)
    advice = f"set XDG_CACHE_HOME to a folder with {about['megabytes']} MB of room"
    try:
        folder = private(folder)
        if os.statvfs(folder).f_flag & os.ST_NOEXEC:
            raise Refused(f"nothing may be run from {folder} (noexec): {advice}")
        place = _unpack_once(Path(archive), folder / about["name"])
        _remove_others(folder, place)
    except OSError as failed:
        raise Refused(f"cannot unpack into {folder}: {failed.strerror}: {advice}") from None
    return str(place)


def base(environ: Mapping[str, str]) -> Path:
    """Return the folder for all versions: of who this runs as, whatever HOME says."""
    told = environ.get("XDG_CACHE_HOME", "")
    if told.startswith("/"):
        return Path(told) / NAME
    if os.geteuid() == 0:
        return Path("/var/cache") / NAME
    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir) / ".cache" / NAME
    except KeyError:
        why = "this user has no home: set XDG_CACHE_HOME to a folder to unpack into"
        raise Refused(why) from None


def private(folder: Path) -> Path:
    """Make a folder that nobody else can write or replace. Raises Refused, OSError."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = folder.parent.resolve() / folder.name
    folder.mkdir(mode=0o700, exist_ok=True)
    for above in folder.parents:
        about = above.lstat()
        shared = about.st_mode & 0o022 and not about.st_mode & stat.S_ISVTX
        if shared or about.st_uid not in (0, os.geteuid()):
            raise Refused(f"others can write to {above}: set XDG_CACHE_HOME to a folder of yours")
    return _checked(folder)


def _checked(folder: Path) -> Path:
    """Raise Refused unless it is a folder, no link, that belongs to this user alone."""
    about = folder.lstat()
    closed = not about.st_mode & 0o077
    if not (stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid() and closed):
        raise Refused(f"{folder} is not a folder of this user alone: remove it")
    return folder


def _unpack_once(archive: Path, place: Path) -> Path:
    if not os.path.lexists(place):
        _unpack(archive, place)
    _checked(place)
    lock = os.open(place / LOCK, os.O_RDONLY | os.O_NOFOLLOW)
    fcntl.flock(lock, fcntl.LOCK_SH)
    _held.append(lock)
    return place


def _unpack(archive: Path, place: Path) -> None:
    """Unpack aside and rename, so that there is always all of it or nothing."""
    aside = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=place.parent))
    mask = os.umask(0o077)
    try:
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(aside)
        (aside / LOCK).touch(0o600)
        aside.rename(place)
    except OSError as failed:
        if failed.errno not in (errno.EEXIST, errno.ENOTEMPTY):  # another process was faster
            raise
    finally:
        os.umask(mask)
        shutil.rmtree(aside, ignore_errors=True)


def _remove_others(folder: Path, kept: Path) -> None:
    """Remove what other versions have unpacked and none of them runs from."""
    for old in _unused(folder, kept):
        shutil.rmtree(old, ignore_errors=True)


def _unused(folder: Path, kept: Path) -> Iterator[Path]:
    now = time.time()
    for old in folder.iterdir():
        if old == kept:
            continue
        try:
            lock = os.open(old / LOCK, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            if old.lstat().st_mtime < now - ABANDONED:
                yield old
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield old
        except OSError:  # in use
            pass
        finally:
            os.close(lock)
