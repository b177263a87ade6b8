"""A container is found on hosts with cgroup version 2, version 1 or both: by real cgroups.

With version 1 a process is in a cgroup of each hierarchy: systemd's, which has no controller, and
those of the controllers. Hybrid hosts have these beside version 2.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from probes.kernel import cgroups
from probes.owners import docker
from probes.owners.processes import ProcessOwners
from tests.support.namespaces import run

pytestmark = pytest.mark.kernel
ID = "4f1d" * 16
CONTROLLERS = ("freezer", "pids", "perf_event", "cpuset", "net_cls")


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Docker whose only state is that of one container."""
    monkeypatch.setattr(docker, "ROOT", tmp_path)
    monkeypatch.setattr(docker, "SETTINGS", tmp_path / "none")
    config = tmp_path / "containers" / ID / "config.v2.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({"Name": "/web"}))


def _first_version(options: str, folder: Path, command: str) -> list[str]:
    """What runs a command where a hierarchy is mounted, for nobody else to see."""
    mount = f"mount -t cgroup -o {options} none {folder}"
    return ["unshare", "--mount", "sh", "-c", f"{mount} && {command}"]


@contextmanager
def _inside(options: str, folder: Path) -> Iterator[int]:
    """A process in a container's cgroup of a hierarchy of version 1; its pid."""
    folder.mkdir()
    group = folder / "docker" / ID
    enter = f"mkdir -p {group} && echo $$ >{group}/cgroup.procs && echo ready && exec sleep 60"
    command = _first_version(options, folder, enter)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != b"ready\n":
                pytest.skip(f"this host has no hierarchy of version 1 with {options}")
            yield process.pid
        finally:
            process.kill()
            process.wait()
            gone = f"rmdir {group} {group.parent}"
            subprocess.run(_first_version(options, folder, gone), check=False, capture_output=True)


def _controller(folder: Path) -> str:
    """A controller that is of version 1 here, or can be."""
    folder.mkdir()
    for one in CONTROLLERS:
        tried = subprocess.run(
            _first_version(one, folder, "true"), check=False, capture_output=True
        )
        if tried.returncode == 0:
            return one
    pytest.skip("this host has no controller of version 1")


def _container(pid: int) -> str | None:
    return ProcessOwners().of_all([pid])[0].container


def test_by_systemd_s_hierarchy(tmp_path: Path) -> None:
    with _inside("none,name=systemd", tmp_path / "cgroup") as pid:
        assert f":name=systemd:/docker/{ID}\n" in Path(f"/proc/{pid}/cgroup").read_text()
        assert _container(pid) == "web"


def test_by_a_controller_alone(tmp_path: Path) -> None:
    """As where Docker is the only one that makes cgroups."""
    controller = _controller(tmp_path / "tried")
    with _inside(controller, tmp_path / "cgroup") as pid:
        assert f":{controller}:/docker/{ID}\n" in Path(f"/proc/{pid}/cgroup").read_text()
        assert _container(pid) == "web"


def test_by_version_2() -> None:
    place = cgroups.root()
    if place is None:
        pytest.skip("cgroup v2 is not mounted here")
    group = place / f"docker-{ID}.scope"
    enter = f"mkdir {group} && echo $$ >{group}/cgroup.procs && echo ready && exec sleep 60"
    with subprocess.Popen(["sh", "-c", enter], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            assert _container(process.pid) == "web"
            id = cgroups.id_of(group)
            assert ProcessOwners().of_cgroup_ids([id])[0].container == "web"
        finally:
            process.kill()
            process.wait()
            run("rmdir", str(group))
