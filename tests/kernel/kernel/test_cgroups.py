"""Hooks that tell cgroups apart, with a process of the test's own in a cgroup of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from probes.hooks import catalogue
from probes.kernel import cgroups
from probes.ladder.attachment import Attachment, Modules
from probes.model import State
from tests.support.events import server, talk
from tests.support.foreign import own_cgroup
from tests.support.namespaces import namespace
from tests.support.scenarios import find, values

pytestmark = pytest.mark.kernel
HOOK = catalogue()["cgroup-bytes"]

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


_SENDING = """
import os, socket, sys
with open(sys.argv[1] + "/cgroup.procs", "w") as members:
    members.write(str(os.getpid()))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    for _ in range(10):
        s.sendto(b"x" * 100, ("127.0.0.1", int(sys.argv[2])))
print(os.getpid())
"""


@pytest.mark.parametrize(
    "rung", [pytest.param(r.name, id=f"cgroup-bytes:{r.name}") for r in HOOK.ladder]
)
def test_bytes_are_told_by_cgroup_and_process(
    modules: Modules, rung: str, record_property: Callable[[str, object], None]
) -> None:
    record_property("hook", HOOK.name)
    record_property("rung", rung)
    attachment = Attachment(HOOK, modules)
    status = attachment.climb(pinned=rung, asked=True)
    try:
        assert status.state is State.ATTACHED, status
        with own_cgroup() as group, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inbox:
            inbox.bind(("127.0.0.1", 0))
            port = inbox.getsockname()[1]
            command = (sys.executable, "-c", _SENDING, str(group), str(port))
            sent = int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            rows = values(attachment)
        child = find(rows, pid=sent)
        assert child["cgroup"] == f"/{group.name}"
        assert child["comm"].startswith("python")
        assert (child["tx_packets"], child["tx_bytes"]) == (10, 10 * (20 + 8 + 100))
        assert (child["rx_packets"], child["rx_bytes"]) == (0, 0)
        mine = find(rows, pid=os.getpid())
        assert (mine["rx_packets"], mine["rx_bytes"]) == (10, 10 * (20 + 8 + 100))
        assert mine["cgroup"] == cgroups.of_process(os.getpid())
        record_property("count", 20)
    finally:
        attachment.detach()


def test_an_accepted_connection_gets_its_process(modules: Modules) -> None:
    attachment = Attachment(HOOK, modules)
    attachment.climb()
    try:
        with server("127.0.0.1") as port, talk("127.0.0.1", port, 5) as client:
            values(attachment)
            before = _packets(attachment)
            for _ in range(5):
                client.sendall(b"x")
                client.recv(1)
            after = _packets(attachment)
    finally:
        attachment.detach()
    assert after - before >= 20, "both ends are this process's now"


def _packets(attachment: Attachment) -> int:
    row = find(values(attachment), pid=os.getpid())
    return int(row["tx_packets"] + row["rx_packets"])


@contextmanager
def _tree(*names: bytes) -> Iterator[Path]:
    """Cgroups of a user who may make them: these, one in another."""
    with own_cgroup() as group:
        made = [group]
        try:
            for name in names:
                made.append(made[-1] / os.fsdecode(name))
                made[-1].mkdir()
            yield made[-1]
        finally:
            for path in reversed(made[1:]):
                if path.exists():
                    path.rmdir()


def test_a_cgroup_is_found_by_its_id_under_any_name() -> None:
    names = (b"caf\xe9", "a\u2028b c".encode(), b"tab\t\x85")
    with _tree(*names) as group:
        top = cgroups.root()
        assert top is not None
        id = group.stat().st_ino
        found = cgroups.Paths().of(id)
        assert os.fsencode(found).endswith(b"/" + b"/".join(names))
        walked = {i: cgroups.below(top, folder) for i, folder in cgroups.folders(top)}
        assert walked[id] == found
    assert cgroups.Paths().of(id) == f"id {id}"


def test_a_deep_tree_and_a_large_one_are_looked_at_up_to_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is near to the root comes first; the way to the rest is not longer for it."""
    with _tree(*[b"a"] * 1200) as group:
        top = cgroups.root()
        assert top is not None
        id = group.stat().st_ino
        assert os.fsencode(cgroups.Paths().of(id)).endswith(b"/a/a/a")
        monkeypatch.setattr(cgroups, "MOST_FOLDERS", 5)
        assert len(list(cgroups.folders(top))) == 5
        assert next(cgroups.folders(top))[1] == str(top)
