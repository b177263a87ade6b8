"""containerd: names from its tasks' state, ctr(1)'s, nerdctl's and those of Kubernetes.

STATE/io.containerd.runtime.v2.task/NAMESPACE/ID/config.json: the OCI bundle, whose annotations tell
pod and container where the CRI made it. ctr's containers have their name as id.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from probes.owners import state_files
from probes.owners.runtime import Runtime, in_pod, is_id, prefixed

TASKS = (
    Path("/run/containerd/io.containerd.runtime.v2.task"),
    Path("/run/k3s/containerd/io.containerd.runtime.v2.task"),
    Path("/run/k0s/containerd/io.containerd.runtime.v2.task"),
    Path("/var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task"),
)
"""Of containerd itself, and as K3s and RKE2, k0s and MicroK8s run it."""
MOST_NAMESPACES = 64
_BY_OTHERS = ("moby",)
"""Namespaces of Docker's containers, whose names it keeps itself."""
_CRI = "io.kubernetes.cri."
_prefixed = prefixed("cri-containerd", "nerdctl", "kata")


def _id_in(part: str, above: str) -> str:
    if found := _prefixed(part, above):
        return found
    # "/default/web": a namespace and a task in it. A dot begins neither.
    named = bool(above) and not part.startswith(".") and not above.startswith(".")
    return part if named and not is_id(part) and _is_task(above, part) else ""


def _is_task(namespace: str, id: str) -> bool:
    # A string, since this is asked of each part of each new path.
    return any(os.path.isdir(f"{tasks}/{namespace}/{id}") for tasks in TASKS)  # noqa: PTH112


def _name_of(id: str, uid: int | None) -> str:
    if uid is not None:  # its path was chosen by a user, who has no containers here
        return ""
    for bundle in _bundles(id):
        found = state_files.as_json(state_files.read(bundle / "config.json"))
        if name := _named(found) or ("" if is_id(id) or found is None else state_files.named(id)):
            return name
    return ""


def _named(found: object) -> str:
    def annotation(name: str) -> str:
        return state_files.at(found, "annotations", name)

    sandbox = annotation(f"{_CRI}container-type") == "sandbox"
    pod = annotation(f"{_CRI}sandbox-namespace"), annotation(f"{_CRI}sandbox-name")
    container = "" if sandbox else annotation(f"{_CRI}container-name")
    return in_pod(*pod, container) or annotation("nerdctl/name")


def _bundles(id: str) -> Iterator[Path]:
    for tasks in TASKS:
        try:
            with os.scandir(tasks) as namespaces:
                names = [n.name for n in islice(namespaces, MOST_NAMESPACES)]
        except OSError:
            continue
        yield from (tasks / name / id for name in sorted(names) if name not in _BY_OTHERS)


RUNTIME = Runtime("containerd", _id_in, _name_of)
