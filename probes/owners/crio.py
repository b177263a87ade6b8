"""CRI-O: pod and container from the annotations of the OCI bundle in its run root.

The kubelet's labels are among them. What was made without it (crictl) has names that CRI-O adds.
"""

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
    by_label = in_pod(annotation("pod.namespace"), annotation("pod.name"), container)
    return by_label or _by_crio(annotation("cri-o.Name"), sandbox=sandbox)


def _by_crio(name: str, *, sandbox: bool) -> str:
    """Return the same of k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT; a sandbox's has no container."""
    match name.split("_"):
        case ["k8s", container, pod, namespace, _, _] if not sandbox:
            return in_pod(namespace, pod, container)
        case ["k8s", pod, namespace, _, _] if sandbox:
            return in_pod(namespace, pod, "")
    return ""


RUNTIME = Runtime("cri-o", prefixed("crio", "kata"), _name_of)
