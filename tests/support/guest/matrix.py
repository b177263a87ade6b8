"""The kernel tests on several kernels: this machine's own, and Debian's in guests.

    python -m tests.support.guest.matrix [--kernel NAME,...] [--test WORD] [--minutes N]

Prints tables, and writes them to docs/kernels.md when nothing was left out. Exit status 1 where
a test failed, a kernel is missing, a rung stood on no kernel at all, or no ladder came to it.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from probes.compile import compiler as bcc_compiler
from probes.hooks import catalogue
from tests.support.guest import boot, kernels
from tests.support.guest.report import report
from tests.support.guest.results import Column, Outcome, read

LOCAL = "local"
SIDE_BY_SIDE = 2
"""Guests at a time. One keeps little more than one CPU busy: its tests come one by one."""
LEAST = 60.0
"""Seconds without which a guest is not even begun."""
PAGE = boot.ROOT / "docs/kernels.md"
INTRODUCTION = """\
# What the kernel tests found on each kernel

Written by `make matrix`. `local` is the machine that ran the matrix; the others are Debian's own
kernels, unmodified, in guests under emulation. debian13 is the newest kernel under the userland
of Debian 13 (its bcc and Python); integrity and confidentiality are the newest kernel, locked
down by boot parameter.
"""


def main() -> int:
    chosen, word, minutes = _arguments()
    end = time.monotonic() + minutes * 60
    everything = [LOCAL, *(b.name for b in boot.BOOTS)]
    bcc_compiler.IDLE_SECONDS = 120.0  # of what compiles for guests
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        # The long ones first; the table keeps its order.
        work = {name: pool.submit(_column, name, word, end) for name in _longest_first(chosen)}
        columns = [work[name].result() for name in chosen]
    whole = chosen == everything and not word
    made = report(columns, list(_rungs()) if whole else [], set(_pinned()))
    print(made.text())
    if whole and not any(c.trouble for c in columns):
        PAGE.write_text(INTRODUCTION + "\n" + made.markdown())
    return 1 if made.failures else 0


def _longest_first(chosen: list[str]) -> list[str]:
    guests = {b.name: b for b in boot.BOOTS}
    short = {name for name, b in guests.items() if b.parameters or b.userland}
    return sorted(chosen, key=lambda name: (name in short, name == LOCAL))


def _arguments() -> tuple[list[str], str, float]:
    """The names of the columns, the word that tests are chosen by, and the minutes there are."""
    known = [LOCAL, *(b.name for b in boot.BOOTS)]
    parser = argparse.ArgumentParser(prog="make matrix", description="KERNEL=... TEST=...")
    parser.add_argument(
        "--kernel", default="all", help=f"comma-separated, of {', '.join(known)}; all: every one"
    )
    parser.add_argument("--test", default="", help="a word in the names of tests (pytest's -k)")
    parser.add_argument(
        "--minutes", type=float, default=600, help="what is not done by then is said to be missing"
    )
    asked = parser.parse_args()
    chosen = known if asked.kernel == "all" else asked.kernel.split(",")
    if unknown := sorted(set(chosen) - set(known)):
        parser.error(f"no such kernel: {', '.join(unknown)}; there are {', '.join(known)}")
    return chosen, asked.test, asked.minutes


def _filter(word: str) -> list[str]:
    """pytest's -k. A hook is found under its name (tcp-connect) and as a module (tcp_connect)."""
    if re.fullmatch(r"\w+", word):
        word = f"{word} or {word.replace('_', '-')}"
    return ["-k", word] if word else []


ELSEWHERE = frozenset({"profile cycles"})
"""Rungs that no kernel here can show: a guest has no hardware counters."""


def _rungs() -> Iterator[str]:
    for hook in catalogue().values():
        for rung in hook.ladder:
            if (name := f"{hook.name} {rung.name}") not in ELSEWHERE:
                yield name


def _pinned() -> Iterator[str]:
    """Those that are taken only where a person pins them."""
    for hook in catalogue().values():
        yield from (f"{hook.name} {r.name}" for r in hook.ladder if hook.only_pinned(r))


def _column(name: str, word: str, end: float) -> Column:
    runs = kernels.cache() / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    with (runs / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two matrices at once take turns at a kernel
        column = _run(name, runs / name, word, end)
    _say(f"{name}: {column.trouble or _summary(column)}")
    return column


def _run(name: str, folder: Path, word: str, end: float) -> Column:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    begin = time.monotonic()
    left = min(boot.TIMEOUT, end - begin)
    if left < LEAST:
        return Column(name, "", trouble="missing: the time was over")
    look = _local if name == LOCAL else partial(_guest, name)
    try:
        release, status = look(folder, word, left)
    except kernels.Missing as missing:
        return Column(name, "", trouble=f"missing: {missing}")
    seconds = time.monotonic() - begin
    try:
        results, versions = read(folder / "junit.xml")
    except (OSError, ElementTree.ParseError):
        return Column(name, release, seconds, trouble=_trouble(folder, status, seconds))
    trouble = "" if results else "no test of that name"
    return Column(name, release, seconds, results, versions, trouble)


def _guest(name: str, folder: Path, word: str, left: float) -> tuple[str, int | None]:
    wanted = next(b for b in boot.BOOTS if b.name == name)
    image = kernels.image(wanted.kernel)
    _say(f"{name}: booting {image.release}; its tests are logged to {folder / 'log'}")
    return image.release, boot.run(wanted, image, folder, boot.tests(wanted, _filter(word)), left)


def _local(folder: Path, word: str, left: float) -> tuple[str, int | None]:
    """This machine's kernel: the same command, and a network of its own where root may."""
    _say(f"{LOCAL}: {os.uname().release}")
    command = [
        *(sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider"),
        *("-o", "junit_family=xunit1", f"--junitxml={folder / 'junit.xml'}"),
        *(*_filter(word), "tests/kernel"),
    ]
    if os.geteuid() == 0:
        command = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "-", *command]
    return os.uname().release, boot.bounded(command, folder / "log", left)


def _trouble(folder: Path, status: int | None, seconds: float) -> str:
    """Why there is no result file: the last words of whoever spoke last."""
    ended = f"exit status {status}" if status is not None else f"stopped after {seconds:.0f} s"
    for log in (folder / "log", folder / "vng.log"):
        lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
        if said := " / ".join(line.strip() for line in lines[-4:] if line.strip()):
            return f"no results, {ended}: {said}"
    return f"no results, {ended}"


def _summary(column: Column) -> str:
    failed = sum(r.outcome is Outcome.FAILED for r in column.results)
    return f"{len(column.results)} tests, {failed} failed, {column.seconds:.0f} s"


def _say(text: str) -> None:
    print(f"matrix: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
