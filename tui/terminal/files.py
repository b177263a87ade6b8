"""Files written for the user: below XDG_STATE_HOME, private, and never over an existing one."""

from __future__ import annotations

import time
from itertools import count
from pathlib import Path

from probes.recording import files
from tui.config import paths


def folder() -> Path:
    """Return the directory for them: $XDG_STATE_HOME/ebpftop, or ~/.local/state/ebpftop."""
    return paths.state()


def write_new(what: str, suffix: str, text: str) -> Path:
    """Write the text to a new file named by its kind and the time. Raises OSError."""
    place = folder()
    files.make_folder(place)
    stem = f"{what}-{time.strftime('%Y%m%d-%H%M%S')}"
    for n in count(1):
        path = place / f"{stem}{f'-{n}' if n > 1 else ''}.{suffix}"
        try:
            files.write_new(path, text)
        except FileExistsError:
            continue
        return path
    raise AssertionError("there is always a next number")


def shown(path: Path) -> str:
    """Return the path as users write it."""
    try:
        return f"~/{path.relative_to(paths.home())}"
    except ValueError:
        return str(path)
