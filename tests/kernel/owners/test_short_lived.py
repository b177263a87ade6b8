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
from probes.model import HookId
from probes.owners import docker, owner_columns
from probes.owners.processes import ProcessOwners
from tests.support.foreign import own_cgroup
from tests.support.namespaces import namespace
from tests.support.rungs import stood
from tests.support.scenarios import values

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


_RUNGS = [
    pytest.param(spec, rung.name, id=f"{spec}:{rung.name}")
    for spec in ("tcp-connect", "opens", "syscall-processes@connect")
    for rung in catalogue()[HookId.parse(spec).hook].ladder
    if not rung.passive
]


@pytest.mark.parametrize(("spec", "rung"), _RUNGS)
def test_what_a_process_did_that_has_ended_is_its_container_s(
    modules: Modules, spec: str, rung: str
) -> None:
    """Also when the container has gone."""
    id = HookId.parse(spec)
    attachment = Attachment(catalogue()[id.hook], modules, id.target)
    try:
        stood(attachment.climb(pinned=rung, asked=True))
        with own_cgroup() as group, socket.create_server(("127.0.0.1", 0)) as listener:
            container = group / f"docker-{ID}.scope"
            container.mkdir()
            command = (sys.executable, "-c", _CONNECTS, str(container))
            port = str(listener.getsockname()[1])
            done = subprocess.run((*command, port), check=True, capture_output=True, text=True)
            rows = [row for row in values(attachment) if row["pid"] == int(done.stdout)]
            container.rmdir()
        rows += [row for row in values(attachment) if row["pid"] == int(done.stdout)]
    finally:
        attachment.detach()
    assert [row["container"] for row in rows] == ["web"] * 2
