"""Docker: names from DATA-ROOT/containers/ID/config.v2.json, which root alone may read.

A container of Kubernetes (cri-dockerd) has its pod in labels.
"""

from __future__ import annotations

from pathlib import Path

from probes.owners import state_files
from probes.owners.runtime import Runtime, in_pod, prefixed
from probes.owners.users import user

ROOT, SETTINGS = Path("/var/lib/docker"), Path("/etc/docker/daemon.json")


def root() -> Path:
    """Return where root's daemon keeps its state."""
    told = state_files.at(state_files.as_json(state_files.read(SETTINGS)), "data-root")
    return Path(told) if told.startswith("/") else ROOT


def _name_of(id: str, uid: int | None) -> str:
    if uid is None:
        place = root()
    elif (home := user(uid).home) is not None:
        place = home / ".local/share/docker"
    else:
        return ""
    config = place / "containers" / id / "config.v2.json"
    found = state_files.as_json(state_files.read_of(config, uid))
    return _in_pod(found) or state_files.at(found, "Name").removeprefix("/")


def _in_pod(found: object) -> str:
    def label(name: str) -> str:
        return state_files.at(found, "Config", "Labels", f"io.kubernetes.{name}")

    container = label("container.name")
    return in_pod(
        label("pod.namespace"), label("pod.name"), "" if container == "POD" else container
    )


RUNTIME = Runtime("docker", prefixed("docker"), _name_of)
