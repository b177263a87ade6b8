"""A process that has ended before anybody looked is known by its cgroup, which the program saw."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.hooks import catalogue
from probes.ladder.attachment import Attachment
from probes.ladder.modules import Modules
from probes.owners import docker, owner_columns
from probes.owners.processes import ProcessOwners
from tests.support.foreign import own_cgroup
from tests.support.namespaces import namespace
from tests.support.rungs import stood
from tests.support.scenarios import find, values

pytestmark = pytest.mark.kernel

ID = "4f1d" * 16
_CONNECTS = """
import os, socket, sys
with open(sys.argv[1] + "/cgroup.procs", "w") as members:
    members.write(str(os.getpid()))
socket.create_connection(("127.0.0.1", int(sys.argv[2]))).close()
print(os.getpid())
"""


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In a namespace of its own, beside a Docker whose only state is that of one container."""
    monkeypatch.setattr(docker, "ROOT", tmp_path)
    monkeypatch.setattr(docker, "SETTINGS", tmp_path / "none")
    monkeypatch.setattr(owner_columns, "shared", ProcessOwners())
    config = tmp_path / "containers" / ID / "config.v2.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({"Name": "/web"}))
    with namespace():
        yield


_LADDER = [rung.name for rung in catalogue()["tcp-connect"].ladder if not rung.passive]


@pytest.mark.parametrize("rung", _LADDER)
def test_a_connect_of_a_process_that_has_ended_is_its_container_s(
    modules: Modules, rung: str
) -> None:
    attachment = Attachment(catalogue()["tcp-connect"], modules)
    try:
        stood(attachment.climb(pinned=rung, asked=True))
        with own_cgroup() as group, socket.create_server(("127.0.0.1", 0)) as listener:
            container = group / f"docker-{ID}.scope"
            container.mkdir()
            port = listener.getsockname()[1]
            command = (sys.executable, "-c", _CONNECTS, str(container), str(port))
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            row = find(values(attachment), pid=int(done.stdout), rport=port)
            container.rmdir()
        again = find(values(attachment), pid=int(done.stdout), rport=port)
    finally:
        attachment.detach()
    assert (row["connects"], row["container"]) == (1, "web")
    assert again["container"] == "web", "also when the container has gone"
