"""Which runtimes keep state on this host, and whether this user may read it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from probes.owners import containerd, docker, podman


def unreadable() -> dict[str, Path]:
    """Return the folders that are there and may not be read, by runtime."""
    found: dict[str, Path] = {}
    for runtime, place in _places():
        if os.path.lexists(place) and not os.access(place, os.R_OK | os.X_OK):
            found.setdefault(runtime, place)
    return found


def _places() -> Iterator[tuple[str, Path]]:
    yield "Docker", docker.root()
    yield "Podman", podman.GRAPH_ROOT
    for tasks in containerd.TASKS:
        yield "containerd", tasks.parent
        yield "containerd", tasks
