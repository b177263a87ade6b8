"""Containers made of busybox: by Podman and by containerd, with state of the test's own."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from probes.kernel import procfs
from tests.support.namespaces import run

_SLEEP = ("/bin/busybox", "sleep", "60")


def needs(*programs: str) -> None:
    """Skip where one is not installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def root_file_system(folder: Path) -> Path:
    """Make one that has busybox and nothing else."""
    needs("busybox")
    for name in ("bin", "dev", "etc", "proc", "run", "sys", "tmp"):
        (folder / "fs" / name).mkdir(parents=True)
    shutil.copy(str(shutil.which("busybox")), folder / "fs/bin/busybox")
    return folder / "fs"


def _podman(folder: Path) -> list[str]:
    return [
        "podman", f"--root={folder}/graph", f"--runroot={folder}/run", f"--tmpdir={folder}/tmp",
        "--runtime=runc", "--cgroup-manager=cgroupfs", "--events-backend=none",
        "--storage-driver=vfs",
    ]  # fmt: skip


def podman_names(folder: Path) -> dict[int, str]:
    """What `podman ps` calls each container, by its process."""
    shown = run(*_podman(folder), "ps", "--format", "{{.Pid}} {{.Names}}")
    return {int(pid): name for pid, name in map(str.split, shown.splitlines())}


def ctr_names(folder: Path) -> dict[int, str]:
    """The same of `ctr task list`."""
    shown = run("ctr", "--address", f"{folder}/containerd.sock", "task", "list").splitlines()[1:]
    return {int(pid): name for name, pid, *_ in map(str.split, shown)}


@contextmanager
def podman(folder: Path, name: str) -> Iterator[int]:
    """Run a container; yield the number of its process. State is in FOLDER/graph and /run."""
    needs("podman", "runc")
    call = _podman(folder)
    limits = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024", "--network=none")
    system = str(root_file_system(folder))
    run(*call, "run", "-d", f"--name={name}", *limits, "--rootfs", system, *_SLEEP)
    try:
        yield int(run(*call, "inspect", "-f", "{{.State.Pid}}", name))
    finally:
        run(*call, "rm", "-f", "-t", "0", name)
        _is_left(folder)


@contextmanager
def docker(folder: Path, name: str) -> Iterator[int]:
    """Run a container by an engine of its own; yield the number of its process.

    The engine touches no network and no firewall. State is in FOLDER/data.
    """
    needs("dockerd", "docker", "runc")
    socket = f"unix://{folder}/docker.sock"
    command = [
        "dockerd", f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--host={socket}",
        f"--pidfile={folder}/pid", "--bridge=none", "--iptables=false", "--ip6tables=false",
        "--storage-driver=vfs", "--exec-opt=native.cgroupdriver=cgroupfs",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        engine = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    call = ("docker", "--host", socket)
    try:
        _answered([*call, "version"])
        image = f"{folder}/image.tar"
        run("tar", "-C", str(root_file_system(folder)), "-cf", image, ".")
        run(*call, "import", image, "busybox")
        limits = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024", "--network=none")
        run(*call, "run", "-d", f"--name={name}", *limits, "busybox", *_SLEEP)
        try:
            assert run(*call, "ps", "--format", "{{.Names}}").split() == [name]
            yield int(run(*call, "inspect", "-f", "{{.State.Pid}}", name))
        finally:
            run(*call, "rm", "-f", name)
    finally:
        engine.terminate()
        engine.wait()
        _is_left(folder)


@contextmanager
def containerd(folder: Path, name: str) -> Iterator[int]:
    """Run a container; yield the number of its process. State is in FOLDER/state."""
    needs("containerd", "ctr", "runc")
    socket = f"{folder}/containerd.sock"
    command = ["containerd", "--root", f"{folder}/root", "--state", f"{folder}/state"]
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen([*command, "--address", socket], stdout=log, stderr=log)
    call = ("ctr", "--address", socket)
    try:
        _answered([*call, "version"])
        run(*call, "run", "-d", "--rootfs", str(root_file_system(folder)), name, *_SLEEP)
        try:
            yield int((folder / _TASKS / name / "init.pid").read_text())
        finally:
            run(*call, "task", "kill", "-s", "KILL", name)
            _answered([*call, "task", "rm", name])
            run(*call, "container", "rm", name)
    finally:
        daemon.terminate()
        daemon.wait()
        _is_left(folder)


@contextmanager
def nspawn(folder: Path, *told: str) -> Iterator[int]:
    """Run a machine that nothing registers; yield the number of the process in it."""
    needs("systemd-nspawn")
    system = root_file_system(folder)
    (system / "usr").mkdir()
    own = ("--quiet", "--register=no", "--keep-unit", "--as-pid2", "--private-network")
    command = ("systemd-nspawn", *own, *told, "--directory", str(system), *_SLEEP)
    with (folder / "log").open("wb") as log:
        host = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield _sleeping_below(host, folder / "log")
    finally:
        host.terminate()
        host.wait()
        _is_left(folder)


def _sleeping_below(host: subprocess.Popen[bytes], log: Path) -> int:
    for _ in range(200):
        for pid in procfs.pids():
            if procfs.comm(pid) == "busybox" and host.pid in procfs.ancestors(pid):
                return pid
        if host.poll() is not None:
            break
        time.sleep(0.05)
    pytest.fail(f"systemd-nspawn does not run: {log.read_text()}")


def _is_left(folder: Path) -> None:
    """Wait until nothing is mounted below a folder, which is removed with all that is in it."""
    for _ in range(200):
        if f" {folder}/" not in Path("/proc/self/mounts").read_text():
            return
        time.sleep(0.05)
    pytest.fail(f"something is still mounted below {folder}")


_TASKS = "state/io.containerd.runtime.v2.task/default"


def _answered(command: list[str]) -> None:
    for _ in range(200):
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.05)
    pytest.fail(f"{command} is refused")


@contextmanager
def sleeping(*enter: str) -> Iterator[int]:
    """A process that a command such as unshare(1) has put somewhere; its pid."""
    command = [*enter, "sh", "-c", "echo ready; exec sleep 60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            while procfs.comm(process.pid) != "sleep":
                time.sleep(0.01)
            yield process.pid
        finally:
            process.kill()
