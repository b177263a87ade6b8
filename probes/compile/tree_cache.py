"""Small file trees kept on disk by what they were made from, and made again when not trustworthy.

A tree is used only if it is ours alone (owner, no write permission for others, no links) and each
file is what was written, byte for byte. It is made aside and renamed into place, so that two
processes at once, or a crash, leave a whole tree or none.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Mapping
from errno import EACCES
from pathlib import Path

Files = Mapping[str, str]
"""Relative path -> text."""

MANIFEST = "manifest.json"
UNFINISHED = ".new-"
ABANDONED = 600  # seconds after which the maker of a tree is taken for dead
MAX_TREES = 8  # trees: a few kernels, a few versions of us


class TreeCache:
    """Trees below one directory, which is made private to this user (mode 700).

    Raises OSError where the directory cannot be made or be made ours.
    """

    def __init__(self, base: Path, kept: int = MAX_TREES) -> None:
        self.base = base
        self._kept = kept
        self._make()

    def _make(self) -> None:
        base = self.base
        if base.is_symlink() or (base.exists() and not _is_ours(base)):
            _remove(base)
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_ours(base) or not os.access(base, os.W_OK):
            raise PermissionError(EACCES, "it is not a private directory", str(base))

    def get(self, identity: tuple[str, ...], make: Callable[[], Files]) -> Path:
        """Return the tree made from `identity`: whatever changes the tree must change that."""
        place = self.base / _digest("\0".join(identity))[:24]
        if intact(place):
            os.utime(place)  # in use: not to be pruned before those that nobody reads
        else:
            self._write(place, make())
        return place

    def _write(self, place: Path, files: Files) -> None:
        self._make()  # once more: it may have been cleaned away
        aside = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=self.base))
        try:
            for name, text in files.items():
                _write_private(aside, name, text)
            manifest = {name: _digest(text) for name, text in files.items()}
            _write_private(aside, MANIFEST, json.dumps(manifest))
            self._install(aside, place)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        self._prune()

    def _install(self, aside: Path, place: Path) -> None:
        try:
            aside.rename(place)
        except OSError:  # there is one: another process was faster, or it is not to be trusted
            if intact(place):
                return
            _remove(place)
            aside.rename(place)

    def _prune(self) -> None:
        trees = sorted(self.base.iterdir(), key=lambda p: p.lstat().st_mtime, reverse=True)
        oldest = time.time() - ABANDONED
        dead = [p for p in trees if p.name.startswith(UNFINISHED) and p.lstat().st_mtime < oldest]
        for old in {*dead, *trees[self._kept :]}:
            _remove(old)


def intact(place: Path) -> bool:
    """Return whether a tree is there, ours alone, whole and unchanged."""
    try:
        manifest = json.loads((place / MANIFEST).read_text())
        entries = [place, *place.rglob("*")]
        files = {str(p.relative_to(place)) for p in entries if not p.is_dir()}
        return (
            all(_is_ours(p) for p in entries)
            and files == {*manifest, MANIFEST}
            and all(_digest((place / name).read_text()) == d for name, d in manifest.items())
        )
    except (OSError, ValueError, AttributeError):
        return False


def _is_ours(path: Path) -> bool:
    status = path.lstat()
    plain = stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)
    return plain and status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _write_private(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    for parent in path.relative_to(root).parents:
        (root / parent).chmod(0o700)
    path.write_text(text)
    path.chmod(0o600)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
