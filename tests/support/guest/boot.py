"""One guest: the project and its environment packed, a kernel booted, its tests run there.

A guest reads the machine's files over 9p, where each look at a file costs a millisecond. So all
that Python reads comes as one archive, into memory: its own library, the packages, the project,
each with its bytecode. What its tests have compiled is compiled on this machine (`compiling`).
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
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from tests.support.guest import kernels
from tests.support.guest.compiling import answering
from tests.support.guest.kernels import Image

ROOT = Path(__file__).resolve().parents[3]
PACKED = ("pyproject.toml", "probes", "tui", "themes", "tests", "bench", "snapshots")
TESTING = ("pytest", "pytest-asyncio", "pytest-textual-snapshot")
UNUSED = ("test", "idlelib", "tkinter", "turtledemo", "ensurepip", "dist-packages", "site-packages")
TIMEOUT = 2400
"""Seconds for one guest, boot and tests; ten times slower than the machine is usual."""
MEMORY = "1G"
FOLDER, KERNEL = "/run/matrix", "/run/kernel"
"""Where a guest sees the folder that it may write to, and the kernel's with another userland."""


@dataclass(frozen=True, slots=True)
class Boot:
    """One column of the matrix: a kernel, how it is booted, and with whose userland.

    name: as people ask for it. parameters: of the kernel. userland: a Debian suite, or "" for
    this machine's own. tests: what it is booted for, after tests/kernel/*/test_; where a person
    asks for a word it is all with that word, but for a kernel that is booted in a special way.
    """

    name: str
    kernel: str
    parameters: str = ""
    userland: str = ""
    tests: tuple[str, ...] = ()


# Each kernel shows its ladders, with nothing in the way, and is killed; the oldest and the newest
# also what stands in the way, what others have there, and what they compile. A guest takes a
# minute or two for a situation, so it has those that hang on its kernel; this machine has all.
def _situations(*names: str) -> tuple[str, ...]:
    taken = "obstacles.py::test_the_best_rung_left_is_taken_and_the_obstacle_named"
    return ("obstacles.py::test_nothing_in_the_way", *(f"{taken}[{name}]" for name in names))


_OLDEST = ("no-BTF-no-headers", "no-tracefs", "no-raw-tracepoints-some-hooks")
_LADDERS = ("rungs.py", "rungs_agree.py", "cgroup_versions.py")
_OTHERS = ("custom.py", "seeds.py", "foreign.py", "compile.py")
_NEWEST = ("programs.py", "foreign_programs.py", "drop_reasons.py", "droprules/carried.py")
_LOCKED = (
    "obstacles.py::test_lockdown_leaves_what_reads_no_kernel_memory",
    "rungs.py::test_round_trips_of_old_and_new_connections",
    "rungs.py::test_lives_of_connections",
)
_LAST = ("killed.py",)
_X32 = (
    "calls.py::test_calls_through_other_tables_are_never_given_this_ones_names",
    "calls.py::test_calls_of_x32_are_counted_with_what_they_give",
    "rungs_agree.py::test_files_are_opened_by_every_way_there_is",
)
BOOTS = (
    Boot(
        "5.10",
        "5.10",
        tests=(*_LADDERS, *_OTHERS, *_situations(*_OLDEST), *_LAST),
    ),
    Boot(
        "6.1",
        "6.1",
        tests=(*_LADDERS, "seeds.py", "renamed_symbols.py", *_situations("no-BTF-headers"), *_LAST),
    ),
    Boot("6.12", "6.12", tests=(*_LADDERS, *_situations("no-cgroup-v2"), *_LAST)),
    Boot(
        "newest",
        "newest",
        tests=(
            *(*_LADDERS, *_OTHERS, *_NEWEST),
            *_situations("no-links", "CAP_BPF-CAP_PERFMON-CAP_NET_ADMIN", "nobody"),
            *_LAST,
        ),
    ),
    Boot("debian13", "newest", userland="trixie", tests=("compile.py", "rungs_agree.py")),
    Boot("x32", "newest", "syscall.x32=y", tests=_X32),
    Boot("integrity", "newest", "lockdown=integrity", tests=_LOCKED),
    Boot("confidentiality", "newest", "lockdown=confidentiality", tests=_LOCKED),
)


@cache
def _bytecode() -> None:
    """Python and pytest leave it beside the tests; under emulation it takes them a minute."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    subprocess.run(
        [*command, "tests/kernel"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )


def pack(archive: Path, *, library: bool) -> None:
    """The work tree as it is, and what it and its tests need of site-packages, in one file.

    library: Python's own library as well.
    """
    _bytecode()
    with tarfile.open(archive, "w") as tar:
        for name in PACKED:
            if (ROOT / name).exists():
                tar.add(ROOT / name, f"project/{name}")
        for name in sorted(needed(("ebpftop", *TESTING))):
            for file in metadata.distribution(name).files or ():
                path = Path(str(file.locate()))
                if ".." not in file.parts and path.is_file():
                    tar.add(path, f"site/{file}", recursive=False)
        if library:
            for path in Path(sysconfig.get_path("stdlib")).iterdir():
                if path.name not in UNUSED:
                    tar.add(path, f"library/{path.name}")


def needed(names: tuple[str, ...]) -> set[str]:
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


def _path(test: str) -> str:
    """Of `rungs.py::test_x`: where tests/kernel has test_rungs.py, and what is after it.

    `ladder/carried.py` is the one of that folder.
    """
    file, colons, name = test.partition("::")
    folder, _, file = file.rpartition("/")
    (place,) = (ROOT / "tests" / "kernel" / folder).rglob(f"test_{file}")
    return f"{place.relative_to(ROOT)}{colons}{name}"


def tests(boot: Boot, pytest_arguments: list[str]) -> list[str]:
    """pytest with what a kernel is booted for, as `run` takes it.

    Left out: what is about the program rather than the kernel.
    """
    asked_for = bool(pytest_arguments) and not boot.parameters
    chosen = ["tests/kernel"] if asked_for else [_path(name) for name in boot.tests]
    report = ("-o", "junit_family=xunit1", f"--junitxml={FOLDER}/junit.xml", "-m", "not anywhere")
    return ["pytest", "-v", "-p", "no:cacheprovider", *report, *pytest_arguments, *chosen]


def run(
    boot: Boot, image: Image, folder: Path, module: Sequence[str], seconds: float
) -> int | None:
    """Boots the kernel and runs a module (python -m); its exit status, None where time ran out.

    folder: the guest may write here, at FOLDER; gets log and vng.log. There is no udev and no
    systemd in the guest, only this script. Raises Missing where the userland cannot be had.
    """
    pack(folder / "environment.tar", library=not boot.userland)
    shutil.copy(Path(__file__).with_name("in_guest.sh"), folder)
    python = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]
    root: list[str | Path] = []
    if boot.userland:
        python, root = Path("/usr/bin/python3"), ["--root", kernels.userland(boot.userland)]
        root.append(f"--rodir={KERNEL}={image.place}")  # its modules are outside of that root
    sources = image.place / "usr/src"
    if sources.is_dir():
        _pack_headers(sources, folder / "headers.tar")
    script = ["bash", f"{FOLDER}/in_guest.sh", FOLDER, str(python), *module]
    programs = Path(sys.executable).parent
    command: list[str | Path] = [
        *(programs / "vng", "--disable-kvm", "--force-9p", "--verbose", *root),
        *("--run", image.vmlinuz, f"--rwdir={FOLDER}={folder}"),
        # In one thread both CPUs are twice as fast as in two.
        *("--cpus", "2", "--qemu-opts=-accel tcg,thread=single"),
        *("--memory", MEMORY, "--append", boot.parameters, "--network", "loop"),
        *("--", shlex.join(script)),
    ]
    # Another userland has another bcc.
    with nullcontext() if boot.userland else answering(folder / "compile", image.place):
        path = f"{programs}:{os.environ['PATH']}"
        return bounded(command, folder / "vng.log", seconds, PATH=path)


def bounded(
    command: Sequence[str | Path], log: Path, seconds: float, **environment: str
) -> int | None:
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
            return process.wait(seconds)
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
