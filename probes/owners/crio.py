"""CRI-O: pod and container from the annotations of the OCI bundle in its run root."""

from __future__ import annotations

from pathlib import Path

from probes.owners import state_files
from probes.owners.runtime import Runtime, in_pod, prefixed

ROOTS = (Path("/run/containers/storage"), Path("/var/lib/containers/storage"))


def _name_of(id: str, uid: int | None) -> str:
    if uid is not None:  # its path was chosen by a user, who has no pods here
        return ""
    for root in ROOTS:
        bundle = root / "overlay-containers" / id / "userdata" / "config.json"
        if name := _named(state_files.as_json(state_files.read(bundle))):
            return name
    return ""


def _named(found: object) -> str:
    def annotation(name: str) -> str:
        return state_files.at(found, "annotations", f"io.kubernetes.{name}")

    sandbox = annotation("cri-o.ContainerType") == "sandbox"
    container = "" if sandbox else annotation("container.name")
    return in_pod(annotation("pod.namespace"), annotation("pod.name"), container)


RUNTIME = Runtime("cri-o", prefixed("crio"), _name_of)
