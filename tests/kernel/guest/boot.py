"""One guest: the project and its environment packed, a kernel booted, its tests run there."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from tests.kernel.guest.kernels import Image

ROOT = Path(__file__).resolve().parents[3]
PACKED = ("pyproject.toml", "probes", "tui", "themes", "tests", "snapshots")
TESTING = ("pytest", "pytest-asyncio", "pytest-textual-snapshot")
TIMEOUT = 1800
"""Seconds for one guest, boot and tests; ten times slower than the machine is usual."""
MEMORY = "1G"


def pack(archive: Path) -> None:
    """The work tree as it is, and what it and its tests need of site-packages, in one file."""
    with tarfile.open(archive, "w") as tar:
        for name in PACKED:
            if (ROOT / name).exists():
                tar.add(ROOT / name, name, filter=_no_bytecode)
        for name in sorted(_needed(("ebpftop", *TESTING))):
            for file in metadata.distribution(name).files or ():
                path = Path(str(file.locate()))
                if ".." not in file.parts and path.is_file():
                    tar.add(path, str(file), recursive=False)


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


def run(image: Image, folder: Path, pytest_arguments: list[str]) -> int | None:
    """Boots the kernel and runs the tests; pytest's exit status, None where time ran out.

    folder: the guest may write here; gets junit.xml, log and vng.log. There is no udev and no
    systemd in the guest, only this script.
    """
    python = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]
    script = [Path(__file__).with_name("in_guest.sh"), folder, python, *pytest_arguments]
    programs = Path(sys.executable).parent
    command: list[str | Path] = [
        *(programs / "vng", "--disable-kvm", "--verbose"),
        *("--run", image.vmlinuz, "--rwdir", folder, "--cpus", "2", "--memory", MEMORY),
        *("--", shlex.join(map(str, ("bash", *script)))),
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
