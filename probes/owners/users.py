"""Users by their numbers, from /etc/passwd alone: no name service is asked, as it may wait."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from probes.owners import state_files

PASSWD = Path("/etc/passwd")


class User(NamedTuple):
    """A user's name, made printable, and home."""

    name: str
    home: Path | None


def user(uid: int) -> User:
    """Return a user; one who is not listed is called by the number, and has no home."""
    for line in state_files.read(PASSWD).split(b"\n"):
        fields = line.split(b":")
        if len(fields) > 5 and fields[2] == str(uid).encode():
            home = fields[5].decode(errors="replace")
            name = state_files.named(fields[0].decode(errors="replace"))
            return User(name, Path(home) if home.startswith("/") else None)
    return User(str(uid), None)
