"""BuildKit (docker build, buildctl): steps of a build have an id, and no name."""

from __future__ import annotations

import re

from probes.owners.runtime import Runtime

_ID = re.compile(r"[0-9a-z]{25}")
_SCOPE = re.compile(r"(?:docker|buildkit)-([0-9a-z]{25})\.scope")
_SHORT = 12


def _id_in(part: str, above: str) -> str:
    if found := _SCOPE.fullmatch(part):
        return found[1]
    return part if above == "buildkit" and _ID.fullmatch(part) else ""


def _name_of(id: str, _: int | None) -> str:
    return f"build step {id[:_SHORT]}" if _ID.fullmatch(id) else ""


RUNTIME = Runtime("buildkit", _id_in, _name_of, in_path=True)
