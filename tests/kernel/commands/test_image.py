"""The container image: its hooks attach to this host, and count exactly. Built by `make image`."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.namespaces import namespace, send, veth

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]

IMAGE = "localhost/ebpftop"
# crun refuses hybrid cgroups, and limits may only be lowered here.
PODMAN = ("podman", "--runtime", "runc", "--cgroup-manager=cgroupfs")
RUN = (
    *PODMAN, "run", "--rm", "--privileged", "--pid=host", "--net=host",
    "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", IMAGE,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    if (
        shutil.which("podman") is None
        or subprocess.run([*PODMAN, "image", "exists", IMAGE], check=False).returncode
    ):
        pytest.skip("there is no image: make image")
    with namespace():
        yield
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_it_counts_packets_of_the_host_exactly() -> None:
    """While it watches: those that come to an interface of the namespace it is started in."""
    veth()
    command = [*RUN, "stream", "-d", "0.5", "-n", "60", "--json", "--hook", "tc-ingress@v1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        seen = []
        deadline = time.monotonic() + 120
        for line in running.stdout:
            (hook,) = json.loads(line)["hooks"]
            seen += [row["packets"] for row in hook["rows"]]
            if hook["state"] == "attached" and len(seen) == 1:
                send("v0", 137)
            if seen and seen[-1] == seen[0] + 137:
                break
            assert time.monotonic() < deadline
        running.terminate()
    assert seen[-1] == seen[0] + 137


def test_it_holds_no_documents_but_licences_and_no_package_lists() -> None:
    asked = [*RUN[:-1], "--entrypoint", "/usr/bin/find", IMAGE]
    places = ("/usr/share/doc", "/usr/share/man", "/var/lib/apt/lists", "/var/cache/apt")
    done = subprocess.run(
        [*asked, *places, "-type", "f", "!", "-name", "copyright"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == ""
