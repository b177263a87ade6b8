"""`--scope` on this kernel: who connects in one network namespace, and nobody else."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.commands import ebpftop

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]

CONNECTS = """
import socket, time
there = socket.create_server(("127.0.0.1", 7009))
print("listening", flush=True)
while True:
    socket.create_connection(("127.0.0.1", 7009)).close()
    there.accept()[0].close()
    time.sleep(0.1)
"""


@pytest.fixture
def busy() -> Iterator[tuple[str, int]]:
    """A named network namespace, and the process that connects in it."""
    name = f"ebpftop-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        command = ["ip", "netns", "exec", name, "python3", "-c", CONNECTS]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            child.stdout.readline()
            yield name, child.pid
            child.kill()
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def test_a_namespace_has_its_processes_and_no_others(busy: tuple[str, int]) -> None:
    name, pid = busy
    asked = ["once", "--json", "--for", "2", "--hook", "tcp-connect", "--hook", "interfaces"]
    done = ebpftop(*asked, "--scope", f"netns:{name}")
    assert done.returncode == 0, done.stderr
    rows = {hook["hook"]: hook["rows"] for hook in json.loads(done.stdout)["hooks"]}
    assert {(row["pid"], row["netns_name"]) for row in rows["tcp-connect"]} == {(pid, name)}
    assert rows["interfaces"] == [], "those of the namespace that is looked from"
    nowhere = ebpftop(*asked, "--scope", "netns:nowhere", "--json")
    assert nowhere.stdout.count('"rows": []') == 2
    assert nowhere.stderr == "ebpftop: there is no network namespace 'nowhere' now\n"
    near = ebpftop("findings", "--for", "1", "--scope", f"netns:{name}x")
    assert near.returncode == 3, "it could not be told"
    assert f"similar names: {name}" in near.stderr
