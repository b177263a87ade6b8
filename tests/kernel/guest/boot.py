"""One guest: the project and its environment packed, a kernel booted, its tests run there.

A guest reads the machine's files over 9p, where each look at a file costs a millisecond. So all
that Python reads comes as one archive, into memory: its own library, the packages, the project.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tests.kernel.guest import kernels
from tests.kernel.guest.kernels import Image

ROOT = Path(__file__).resolve().parents[3]
PACKED = ("pyproject.toml", "probes", "tui", "themes", "tests", "snapshots")
TESTING = ("pytest", "pytest-asyncio", "pytest-textual-snapshot")
UNUSED = ("test", "idlelib", "tkinter", "turtledemo", "ensurepip", "dist-packages", "site-packages")
TIMEOUT = 2400
"""Seconds for one guest, boot and tests; ten times slower than the machine is usual."""
MEMORY = "1G"
FOLDER = "/run/matrix"
"""Where a guest sees the folder that it may write to."""


@dataclass(frozen=True, slots=True)
class Boot:
    """One column of the matrix: a kernel, how it is booted, and with whose userland.

    name: as people ask for it. parameters: of the kernel. userland: a Debian suite, or "" for
    this machine's own. only: the tests that it is booted for (pytest's -k), "" for all.
    """

    name: str
    kernel: str
    parameters: str = ""
    userland: str = ""
    only: str = ""


# The oldest and the newest run everything, those between what a kernel decides ladder by ladder.
_LADDERS = "test_rungs or test_obstacles or test_killed or test_foreign"
BOOTS = (
    Boot("5.10", "5.10"),
    Boot("6.1", "6.1", only=_LADDERS),
    Boot("6.12", "6.12", only=_LADDERS),
    Boot("newest", "newest"),
    Boot("debian13", "newest", userland="trixie", only="test_compile or test_rungs_agree"),
    Boot("integrity", "newest", "lockdown=integrity", only="lockdown"),
    Boot("confidentiality", "newest", "lockdown=confidentiality", only="lockdown"),
)


def pack(archive: Path, *, library: bool) -> None:
    """The work tree as it is, and what it and its tests need of site-packages, in one file.

    library: Python's own library as well.
    """
    with tarfile.open(archive, "w") as tar:
        for name in PACKED:
            if (ROOT / name).exists():
                tar.add(ROOT / name, f"project/{name}", filter=_no_bytecode)
        for name in sorted(_needed(("ebpftop", *TESTING))):
            for file in metadata.distribution(name).files or ():
                path = Path(str(file.locate()))
                if ".." not in file.parts and path.is_file():
                    tar.add(path, f"site/{file}", recursive=False)
        if library:
            for path in Path(sysconfig.get_path("stdlib")).iterdir():
                if path.name not in UNUSED:
                    tar.add(path, f"library/{path.name}")


def _no_bytecode(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if entry.name.endswith("__pycache__") else entry


def _needed(names: tuple[str, ...]) -> set[str]:
    """The distributions of these names and all that they require, without extras."""
    needed: set[str] = set()
    open_ends = list(names)
    while open_ends:
        name = re.split(r"[^A-Za-z0-9._-]", open_ends.pop(), maxsplit=1)[0].lower()
        if name in needed:
            continue
        try:
            requires = metadata.distribution(name).requires or []
        except metadata.PackageNotFoundError:
            continue  # for another platform or Python
        needed.add(name)
        open_ends += [r for r in requires if "extra ==" not in r]
    return needed


def _pack_headers(sources: Path, archive: Path) -> None:
    """The kernel's headers without those of other architectures."""

    def ours(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        _, _, arch = entry.name.partition("/arch/")
        return None if arch and not arch.startswith("x86") else entry

    with tarfile.open(archive, "w") as tar:
        tar.add(sources, ".", filter=ours)


def run(boot: Boot, image: Image, folder: Path, pytest_arguments: list[str]) -> int | None:
    """Boots the kernel and runs the tests; pytest's exit status, None where time ran out.

    folder: the guest may write here; gets junit.xml, log and vng.log. There is no udev and no
    systemd in the guest, only this script. Raises Missing where the userland cannot be had.
    """
    pack(folder / "environment.tar", library=not boot.userland)
    shutil.copy(Path(__file__).with_name("in_guest.sh"), folder)
    python = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]
    root: list[str | Path] = []
    if boot.userland:
        python, root = Path("/usr/bin/python3"), ["--root", kernels.userland(boot.userland)]
    sources = image.place / "usr/src"
    if sources.is_dir():
        _pack_headers(sources, folder / "headers.tar")
    script = ["bash", f"{FOLDER}/in_guest.sh", FOLDER, str(python), *pytest_arguments]
    programs = Path(sys.executable).parent
    command: list[str | Path] = [
        *(programs / "vng", "--disable-kvm", "--force-9p", "--verbose", *root),
        *("--run", image.vmlinuz, f"--rwdir={FOLDER}={folder}"),
        *("--cpus", "2", "--memory", MEMORY, "--append", boot.parameters),
        *("--", shlex.join(script)),
    ]
    return bounded(command, folder / "vng.log", PATH=f"{programs}:{os.environ['PATH']}")


def bounded(command: Sequence[str | Path], log: Path, **environment: str) -> int | None:
    """Runs a command in the work tree, its output into a file; None where time ran out.

    Whatever it started ends with it: vng leaves its QEMU behind when it alone is killed.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            return process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # all gone by itself, as it should be
    process.wait()
