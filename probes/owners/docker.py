"""Docker: names from DATA-ROOT/containers/ID/config.v2.json, which root alone may read.

With userns-remap that is DATA-ROOT/UID.GID/containers. A container of Kubernetes (cri-dockerd) has
its pod in labels.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from probes.owners import state_files
from probes.owners.runtime import Runtime, in_pod, prefixed
from probes.owners.users import user

ROOT, SETTINGS = Path("/var/lib/docker"), Path("/etc/docker/daemon.json")
SNAP = Path("/var/snap/docker/common/var-lib-docker")
MOST_REMAPPED = 16
_REMAPPED = re.compile(r"\d{1,10}\.\d{1,10}")


def root() -> Path:
    """Return where root's daemon keeps its state."""
    told = state_files.at(state_files.as_json(state_files.read(SETTINGS)), "data-root")
    return Path(told) if told.startswith("/") else ROOT


def _name_of(id: str, uid: int | None) -> str:
    for place in _places(uid):
        config = place / "containers" / id / "config.v2.json"
        found = state_files.as_json(state_files.read_of(config, uid))
        if name := _in_pod(found) or state_files.at(found, "Name").removeprefix("/"):
            return name
    return ""


def _places(uid: int | None) -> Iterator[Path]:
    if uid is not None:
        if (home := user(uid).home) is not None:
            yield home / ".local/share/docker"
        return
    yield (place := root())
    yield from _remapped(place)
    yield SNAP


def _remapped(place: Path) -> list[Path]:
    """Return what the daemon has below its folder for other users' numbers (userns-remap)."""
    with suppress(OSError), os.scandir(place) as entries:
        names = (entry.name for entry in entries if _REMAPPED.fullmatch(entry.name))
        return [place / name for name in islice(names, MOST_REMAPPED)]
    return []


def _in_pod(found: object) -> str:
    def label(name: str) -> str:
        return state_files.at(found, "Config", "Labels", f"io.kubernetes.{name}")

    container = label("container.name")
    return in_pod(
        label("pod.namespace"), label("pod.name"), "" if container == "POD" else container
    )


RUNTIME = Runtime("docker", prefixed("docker"), _name_of)
