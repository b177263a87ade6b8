"""Files that we write for people: below XDG_STATE_HOME, for their owner only, over nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path

from probes.recording import files
from tui.config import paths


def folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where they go: $XDG_STATE_HOME/ebpftop, or ~/.local/state/ebpftop."""
    return paths.state(environ)


def write_new(what: str, suffix: str, text: str, environ: Mapping[str, str] = os.environ) -> Path:
    """The text in a new file that is named by what it is and by the time. Raises OSError."""
    place = folder(environ)
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
    """The path as people write it."""
    try:
        return f"~/{path.relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return str(path)
