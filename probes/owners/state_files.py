"""Files in which runtimes keep what they run: read within bounds, and never trusted.

Names in them were chosen by others. Files in a user's home are read in a child, as that user may
let a reader wait for ever.
"""

from __future__ import annotations

import json
import os
import stat
import tomllib
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from probes.kernel import patience
from probes.units import printable

MOST_BYTES = 4 << 20
"""Bytes of a file; a larger one is not looked at."""
MOST_CHARACTERS = 120
"""Characters of a name."""
USERS_SECONDS = 1.0
"""Seconds to wait for a file that a user keeps."""


def read(path: Path) -> bytes:
    """Return a regular file's content; nothing where there is none, or it may not be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return b""
    try:
        found = _content(fd) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(fd)
    return found if len(found) <= MOST_BYTES else b""


def _content(fd: int) -> bytes:
    found = bytearray()
    while len(found) <= MOST_BYTES and (part := os.read(fd, 1 << 16)):
        found += part
    return bytes(found)


def read_of(path: Path, uid: int | None) -> bytes:
    """Return the same. uid: the user who keeps it; None: root does."""
    if uid is None:
        return read(path)
    with suppress(OSError):
        return patience.within(USERS_SECONDS, partial(read, path))
    return b""


def as_json(content: bytes) -> Any:
    """Return what a JSON text says, None if it is none."""
    with suppress(ValueError, RecursionError):
        return json.loads(content)
    return None


def as_toml(content: bytes) -> dict[str, Any]:
    """Return what a TOML text says, nothing if it is none."""
    with suppress(ValueError, RecursionError):
        return tomllib.loads(content.decode())
    return {}


def at(found: object, *keys: str) -> str:
    """Return a text within nested objects, made printable; "" where there is none."""
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return named(found) if isinstance(found, str) else ""


def named(text: str) -> str:
    """Return a name that others chose: printable, and of bounded length."""
    return printable(text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}...")
