"""The kernel tests on several kernels: this machine's own, and Debian's in guests.

    python -m tests.kernel.guest.matrix [--kernel NAME,...] [--test WORD]

Prints one table, and writes it to docs/kernels.md when nothing was left out. Exit status 1 where
a test failed, a kernel is missing, or a rung stood on no kernel at all.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from probes.hooks import catalogue
from tests.kernel.guest import boot, kernels, report

LOCAL = "local"
DEFAULT = (LOCAL, "6.1")
"""The kernels of a plain `make matrix`. Each guest takes minutes: there is no KVM to count on."""
PAGE = boot.ROOT / "docs/kernels.md"
INTRODUCTION = """\
# What the kernel tests found on each kernel

Written by `make matrix`. A rung is *ok* where it was attached, a known number of events was
caused, and exactly that number was counted (in brackets); *refused* where this kernel or this
machine's policy does not have it, which is what a ladder is for. `local` is the machine that ran
the matrix, the others are Debian's kernels in guests under emulation.
"""


def main() -> int:
    asked = _arguments()
    chosen = asked.kernel.split(",") if asked.kernel else list(DEFAULT)
    filters = ["-k", asked.test] if asked.test else []
    columns = []
    for name in chosen:
        columns.append(column := _column(name, filters))
        _say(f"{name}: {column.trouble or _summary(column)}")
    whole = not asked.kernel and not asked.test
    made = report.table(columns, list(_rungs()) if whole else [])
    print(made.text())
    for failure in made.failures:
        print(f"FAILED  {failure}")
    if whole:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(INTRODUCTION + "\n" + made.markdown() + "\n")
    return 1 if made.failures else 0


def _arguments() -> argparse.Namespace:
    known = ", ".join((LOCAL, *(k.name for k in kernels.KERNELS)))
    parser = argparse.ArgumentParser(prog="make matrix", description="KERNEL=... TEST=...")
    parser.add_argument("--kernel", default="", help=f"comma-separated, of {known}; all: every one")
    parser.add_argument("--test", default="", help="pytest's -k")
    asked = parser.parse_args()
    if asked.kernel == "all":
        asked.kernel = known.replace(" ", "")
    unknown = set(filter(None, asked.kernel.split(","))) - set(known.split(", "))
    if unknown:
        parser.error(f"no such kernel: {', '.join(sorted(unknown))}; there are {known}")
    return asked


def _rungs() -> Iterator[str]:
    for hook in catalogue().values():
        for rung in hook.ladder:
            yield f"{hook.name} {rung.name}"


def _column(name: str, filters: list[str]) -> report.Column:
    runs = kernels.cache() / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    with (runs / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two matrices at once take turns at a kernel
        return _run(name, runs / name, filters)


def _run(name: str, folder: Path, filters: list[str]) -> report.Column:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    begin = time.monotonic()
    try:
        release, status = (
            _local(folder, filters) if name == LOCAL else _guest(name, folder, filters)
        )
    except kernels.Missing as missing:
        return report.Column(name, "", trouble=f"missing: {missing}")
    seconds = time.monotonic() - begin
    try:
        results = report.read(folder / "junit.xml")
    except (OSError, ElementTree.ParseError):
        return report.Column(name, release, seconds, trouble=_trouble(folder, status))
    if not results:
        return report.Column(name, release, seconds, trouble="no test of that name")
    return report.Column(name, release, seconds, results)


def _guest(name: str, folder: Path, filters: list[str]) -> tuple[str, int | None]:
    image = kernels.image(next(k for k in kernels.KERNELS if k.name == name))
    boot.pack(folder / "environment.tar")
    _say(f"{name}: booting {image.release}; its tests are logged to {folder / 'log'}")
    return image.release, boot.run(image, folder, filters)


def _local(folder: Path, filters: list[str]) -> tuple[str, int | None]:
    """This machine's kernel: the same command, and a network of its own where root may."""
    _say(f"{LOCAL}: {os.uname().release}")
    command = [
        *(sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider"),
        *("-o", "junit_family=xunit1", f"--junitxml={folder / 'junit.xml'}"),
        *(*filters, "tests/kernel"),
    ]
    if os.geteuid() == 0:
        command = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "-", *command]
    return os.uname().release, boot.bounded(command, folder / "log")


def _trouble(folder: Path, status: int | None) -> str:
    """Why there is no result file: the last words of whoever spoke last."""
    ended = f"exit status {status}" if status is not None else f"stopped after {boot.TIMEOUT} s"
    for log in (folder / "log", folder / "vng.log"):
        lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
        if said := " / ".join(line.strip() for line in lines[-4:] if line.strip()):
            return f"no results, {ended}: {said}"
    return f"no results, {ended}"


def _summary(column: report.Column) -> str:
    failed = sum(r.outcome is report.Outcome.FAILED for r in column.results)
    return f"{len(column.results)} tests, {failed} failed, {column.seconds:.0f} s"


def _say(text: str) -> None:
    print(f"matrix: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
