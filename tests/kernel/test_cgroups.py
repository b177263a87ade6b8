"""Hooks that tell cgroups apart, with a process of the test's own in a cgroup of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from foreign import own_cgroup
from namespaces import namespace
from scenarios import values

from probes.attachment import Attachment, Modules
from probes.hooks import catalogue

pytestmark = pytest.mark.kernel

_INSIDE = """
import os, socket, sys
with open(sys.argv[1] + "/cgroup.procs", "w") as members:
    members.write(str(os.getpid()))
for _ in range(3):
    socket.create_connection(("127.0.0.1", int(sys.argv[2]))).close()
"""


@pytest.fixture(autouse=True)
def _namespace() -> Iterator[None]:
    with namespace():
        yield


def test_addresses_are_told_by_cgroup_also_after_it_has_gone(modules: Modules) -> None:
    attachment = Attachment(catalogue()["sock-addr"], modules)
    attachment.climb()
    try:
        with own_cgroup() as group, socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            command = (sys.executable, "-c", _INSIDE, str(group), str(port))
            subprocess.run(command, check=True)
            values(attachment)
        (row,) = (r for r in values(attachment) if r["port"] == port and r["pid"] is not None)
    finally:
        attachment.detach()
    assert (row["cgroup"], row["operation"], row["calls"]) == (f"/{group.name}", "connect", 3)
