"""Files that we write for people: below XDG_STATE_HOME, for their owner only, over nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path


def folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where they go: $XDG_STATE_HOME/ebpftop, or ~/.local/state/ebpftop."""
    base = environ.get("XDG_STATE_HOME") or str(Path("~/.local/state").expanduser())
    return Path(base) / "ebpftop"


def write_new(what: str, suffix: str, text: str, environ: Mapping[str, str] = os.environ) -> Path:
    """The text in a new file that is named by what it is and by the time. Raises OSError."""
    place = folder(environ)
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    stem = f"{what}-{time.strftime('%Y%m%d-%H%M%S')}"
    for n in count(1):
        path = place / f"{stem}{f'-{n}' if n > 1 else ''}.{suffix}"
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
        return path
    raise AssertionError("there is always a next number")


def shown(path: Path) -> str:
    """The path as people write it."""
    try:
        return f"~/{path.relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return str(path)
