"""Podman: names from the list of containers that containers/storage keeps.

GRAPHROOT/overlay-containers/containers.json; of those that go with the boot, or with `--rm`,
RUNROOT/overlay-containers/volatile-containers.json. A user's own are below the home.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from probes.owners import state_files
from probes.owners.runtime import Runtime, prefixed
from probes.owners.users import user

SETTINGS = Path("/etc/containers/storage.conf")
GRAPH_ROOT, RUN_ROOT = Path("/var/lib/containers/storage"), Path("/run/containers/storage")
PODS = ("libpod_parent",)
"""Above the cgroups of pods, which are called by their ids, and are no containers."""
_DRIVERS = ("overlay", "vfs", "btrfs", "zfs")
_MOST_LISTS = 16

Stamp = tuple[int, int, int]
_known: dict[Path, tuple[Stamp, Mapping[str, str]]] = {}
"""Names by id of each list of root's, and what tells whether it was written since."""


def _name_of(id: str, uid: int | None) -> str:
    return next((names[id] for names in map(_names, _lists(uid), _same(uid)) if id in names), "")


def _same(uid: int | None) -> Iterator[int | None]:
    while True:
        yield uid


def _lists(uid: int | None) -> Iterator[Path]:
    for place, name in _places(uid):
        for driver in _DRIVERS:
            yield place / f"{driver}-containers" / name


def _places(uid: int | None) -> Iterator[tuple[Path, str]]:
    graph, run = GRAPH_ROOT, RUN_ROOT
    if uid is None:
        told = state_files.as_toml(state_files.read(SETTINGS))
        graph = Path(state_files.at(told, "storage", "graphroot") or graph)
        run = Path(state_files.at(told, "storage", "runroot") or run)
    elif (home := user(uid).home) is not None:
        graph, run = home / ".local/share/containers/storage", Path(f"/run/user/{uid}/containers")
    else:
        return
    yield graph, "containers.json"
    yield run, "volatile-containers.json"


def _names(path: Path, uid: int | None) -> Mapping[str, str]:
    if uid is not None:
        return _listed(state_files.read_of(path, uid))
    try:
        found = os.stat(path)  # noqa: PTH116 - a path of ours
    except OSError:
        return {}
    stamp = found.st_ino, found.st_size, found.st_mtime_ns
    known = _known.get(path)
    if known is None or known[0] != stamp:
        if len(_known) >= _MOST_LISTS:
            _known.clear()
        known = _known[path] = stamp, _listed(state_files.read(path))
    return known[1]


def _listed(content: bytes) -> dict[str, str]:
    found = state_files.as_json(content)
    names: dict[str, str] = {}
    for one in found if isinstance(found, list) else ():
        if isinstance(one, dict) and isinstance(called := one.get("names"), list) and called:
            names[state_files.at(one, "id")] = state_files.named(str(called[0]))
    return names


RUNTIME = Runtime("podman", prefixed("libpod", "libpod-payload"), _name_of)
