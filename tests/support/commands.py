"""Runs the real command, watches what it holds in the kernel, and takes privilege from it."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from probes.kernel import bpf
from probes.point import AttachType

ROOT = Path(__file__).parents[2]
GUEST = "EBPFTOP_COMPILE" in os.environ
"""Whether this is one of the matrix, where everything takes ten times as long."""
COMMAND = (sys.executable, "-m", "tui.cli")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all")


def ebpftop(
    *arguments: str, before: Sequence[str] = (), cwd: Path = ROOT, **more: str
) -> subprocess.CompletedProcess[str]:
    """Runs it to its end. before: a command that runs it (setpriv, unshare). more: environment."""
    return subprocess.run(
        [*before, *COMMAND, *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, **more},
        check=False,
    )


def in_terminal(*arguments: str) -> tuple[int, str]:
    """Exit status and everything said, on a terminal of its own."""
    ours, theirs = pty.openpty()
    command = [*COMMAND, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs) as child:
        os.close(theirs)
        said = b""
        while True:
            try:
                some = os.read(ours, 65536)
            except OSError:  # the other side has been closed
                break
            if not some:
                break
            said += some
    os.close(ours)
    return child.returncode, said.decode()


@contextmanager
def running(*arguments: str, before: Sequence[str] = ()) -> Iterator[subprocess.Popen[str]]:
    """Runs it in the background; killed at the end if it still runs.

    before: a command that becomes it (setpriv, unshare), so that the process is the same.
    """
    with subprocess.Popen(
        [*before, *COMMAND, *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def held(pid: int | str = "self") -> tuple[set[int], set[int]]:
    """Ids of our programs and of the links that a process has open; not others' that it follows."""
    found: tuple[set[int], set[int]] = (set(), set())
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            text = info.read_text()
        except OSError:
            continue  # closed meanwhile
        for line in text.splitlines():
            name, _, value = line.partition(":")
            if name in ("prog_id", "link_id"):
                found[name == "link_id"].add(int(value))
    programs = {id for id in found[0] if (bpf.prog_name(id) or "").startswith("ebpftop_")}
    return programs, found[1]


def cgroup_programs(cgroup: Path) -> list[dict[str, Any]]:
    """The programs on a cgroup as bpftool shows them; by id alone where it cannot.

    bpftool 7.1 asks for more than Linux before 6.1 knows, and shows nothing there.
    """
    command = ("bpftool", "-j", "cgroup", "show", str(cgroup))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0 and done.stdout.strip():
        shown: list[dict[str, Any]] = json.loads(done.stdout)
        return shown
    fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return [{"id": id} for id in bpf.prog_query(fd, AttachType.CGROUP_SOCK_OPS)]
    finally:
        os.close(fd)


def left_of(programs: set[int], links: set[int]) -> tuple[set[int], set[int]]:
    """What of it the kernel still has, a grace period later."""
    deadline = time.monotonic() + 10
    while True:
        left = programs & set(bpf.prog_ids()), links & set(bpf.link_ids())
        if not any(left) or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


@contextmanager
def readable_tree() -> Iterator[Path]:
    """A copy of the program that every user can read."""
    place = Path(tempfile.mkdtemp(prefix="ebpftop-test-"))
    try:
        for package in ("probes", "tui", "themes"):
            shutil.copytree(
                ROOT / package, place / package, ignore=shutil.ignore_patterns("__pycache__")
            )
        for path in (place, *place.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield place
    finally:
        shutil.rmtree(place)


def nobody_can_run() -> bool:
    """Whether an unprivileged user can run this Python at all."""
    command = [*NOBODY, sys.executable, "-c", "pass"]
    return subprocess.run(command, cwd="/", capture_output=True, check=False).returncode == 0
