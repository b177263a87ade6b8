"""The owner of a process or cgroup: container and unit by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from probes.owners import buildkit, containerd, crio, docker, machines, podman
from probes.owners.cgroup_path import CgroupPath
from probes.owners.runtime import Runtime, is_id, short
from probes.owners.systemd import unit_of

RUNTIMES: tuple[Runtime, ...] = (
    docker.RUNTIME,
    podman.RUNTIME,
    buildkit.RUNTIME,
    containerd.RUNTIME,
    crio.RUNTIME,
    machines.NSPAWN,
    machines.LXC,
)


class NamedOwner(NamedTuple):
    """Names, "" where there is none. container: "web", of a pod "namespace/pod/container".

    unit: "nginx.service", with the user where it is one's own. sure: False where a container has
    no name yet but an id, or could not be looked at.
    """

    container: str = ""
    unit: str = ""
    sure: bool = True


class _ContainerAt(NamedTuple):
    """A container in a path: at which part, its id, and its name if it is known."""

    place: int
    id: str
    name: str


def owner_of(paths: Iterable[CgroupPath]) -> NamedOwner:
    """Return whose the cgroups of a process are.

    Of containers in containers it is the innermost that has a name here; the outermost's id where
    none has one.
    """
    found = {path: list(_containers(path)) for path in paths}
    containers = next(filter(None, found.values()), [])
    called = next((one.name for one in reversed(containers) if one.name), "")
    container = called or next((short(one.id) for one in containers if is_id(one.id)), "")
    units = (unit_of(path, {one.place for one in some}) for path, some in found.items())
    return NamedOwner(container, next(filter(None, units), ""), bool(called) or not containers)


def _containers(path: CgroupPath) -> Iterator[_ContainerAt]:
    within = False
    for place, part in enumerate(path.parts):
        above = path.parts[place - 1] if place else ""
        told = (r for r in RUNTIMES if not (within and r.in_path))
        runtimes = [(r, id) for r in told if (id := r.id_in(part, above))]
        if not runtimes and is_id(part) and above not in podman.PODS:
            runtimes = [(r, part) for r in RUNTIMES if not r.in_path]
        if runtimes:
            within = True
            names = (r.name_of(id, path.uid) for r, id in runtimes)
            yield _ContainerAt(place, runtimes[0][1], next(filter(None, names), ""))
