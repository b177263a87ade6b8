"""Our numbers beside those of nstat, ss, `ip -s`, `tc -s`, nft, bpftool and bpftrace.

    make bench BENCH=truth [ARGS="--kernel local,6.1,newest"]

As root, in network namespaces of its own, some ten seconds. Prints a table: what was done, how much
of it, what an independent tool counted, what we did, and the difference. Exit status 1 where ours
is further from the tool's (or, where there is none, from what was done) than the row's precision.

--kernel: on other kernels, too, in guests (see CONTRIBUTING.md); where `local` and a guest were
asked for and all could be had, the tables go into docs/truth.md.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/truth.md"
BEGIN, END = "<!-- begin: make bench BENCH=truth -->", "<!-- end -->"
LOCAL = "local"
MINUTES = 25
"""That a guest is given."""
_CLONE_NEWNS = 0x20000


@dataclass(frozen=True, slots=True)
class Row:
    """One number three times; None: not known there. within: how far ours may be off, as a share
    of the number; at_most: or so many."""

    scenario: str
    what: str
    expected: float | None
    tool: str
    independent: float | None
    ours: float | None
    within: float = 0.0
    at_most: float = 0.0

    @property
    def right(self) -> float | None:
        """What ours is held to."""
        return self.independent if self.independent is not None else self.expected

    @property
    def difference(self) -> float | None:
        if self.ours is None or self.right is None:
            return None
        return self.ours - self.right

    @property
    def wrong(self) -> bool:
        if self.difference is None or self.right is None:
            return False
        return abs(self.difference) > max(self.at_most, self.within * abs(self.right))

    @property
    def precision(self) -> str:
        if self.within:
            return f"{self.within:.0%}"
        return f"{self.at_most:g}" if self.at_most else "exact"


HEAD = ("scenario", "of", "expected", "independent", "by", "ours", "difference", "precision")


def cells(row: Row) -> tuple[str, ...]:
    shown = [_number(n) for n in (row.expected, row.independent, row.ours, row.difference)]
    wrong = " WRONG" if row.wrong else ""
    return (
        *(row.scenario, row.what, shown[0], shown[1], row.tool or "-", shown[2]),
        *(shown[3] + wrong, row.precision),
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def table(rows: Sequence[Row]) -> str:
    lines = [HEAD, *map(cells, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    left = (0, 1, 4)
    return "\n".join(
        "  ".join(
            text.ljust(w) if i in left else text.rjust(w)
            for i, (text, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def measure() -> list[Row]:
    """Every scenario on this kernel; one that cannot be played says why on stderr."""
    from bench import truth_scenarios  # what it imports takes its time in a guest

    _tracefs()
    found = list[Row]()
    with truth_scenarios.modules() as modules:
        for scenario in truth_scenarios.SCENARIOS:
            begin = time.monotonic()
            rows = list(_played(lambda s=scenario: s(modules)))  # type: ignore[misc]
            found += rows
            seconds = time.monotonic() - begin
            print(f"truth: {scenario.__name__}: {len(rows)} rows, {seconds:.1f} s", file=sys.stderr)
    return found


def _played(scenario: Callable[[], Iterator[Row]]) -> Iterator[Row]:
    from tests.support.devices import pytest

    try:
        yield from scenario()
    except pytest.skip.Exception as cannot:
        print(f"truth: not here: {cannot}", file=sys.stderr)


def _tracefs() -> None:
    """Mounted where it is not, in a mount namespace that goes with us: bpftrace needs it."""
    if any(Path(place, "events").is_dir() for place in ("/sys/kernel/tracing",)):
        return
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(
        ["mount", "-t", "tracefs", "tracefs", "/sys/kernel/tracing"],
        stderr=subprocess.DEVNULL,
        check=False,
    )


@dataclass(frozen=True, slots=True)
class Told:
    """A kernel's rows, or why there are none."""

    kernel: str
    rows: Sequence[Row]
    trouble: str = ""
    where: str = ""


def in_guest(name: str) -> Told:
    """The same in a guest with one of Debian's kernels."""
    from tests.support.guest import boot, kernels

    wanted = next(b for b in boot.BOOTS if b.name == name)
    folder = kernels.cache() / "runs" / f"truth-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        image = kernels.image(wanted.kernel)
    except kernels.Missing as missing:
        return Told(name, (), f"missing: {missing}")
    print(f"truth: {name}: booting {image.release}; its log: {folder / 'log'}", file=sys.stderr)
    output = f"{boot.FOLDER}/rows.json"
    status = boot.run(wanted, image, folder, ["bench.truth", "--json", output], MINUTES * 60)
    if not (folder / "rows.json").exists():
        return Told(image.release, (), f"no rows, exit status {status}: see {folder / 'log'}")
    told = json.loads((folder / "rows.json").read_text())
    return Told(image.release, [Row(**row) for row in told], where=" (in a guest)")


def page(told: Sequence[Told]) -> str:
    """The generated part of docs/truth.md."""
    lines = [BEGIN, f"\nMeasured on {time.strftime('%Y-%m-%d')}.\n"]
    for one in told:
        head = "| " + " | ".join(HEAD) + " |"
        lines += [f"### Linux {one.kernel}{one.where}\n", head, "|" + "---|" * len(HEAD)]
        lines += ["| " + " | ".join(cells(row)) + " |" for row in one.rows]
        lines.append("")
    return "\n".join([*lines, END])


def _write(told: Sequence[Told]) -> None:
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + page(told) + rest.partition(END)[2])


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench BENCH=truth")
    parser.add_argument("--kernel", default=LOCAL, help="comma-separated: local, 6.1, newest...")
    parser.add_argument("--json", type=Path, help="write the rows of this kernel there")
    asked = parser.parse_args()
    if os.geteuid():
        parser.error("this takes root")
    names = asked.kernel.split(",")
    told = [
        Told(os.uname().release, measure()) if name == LOCAL else in_guest(name) for name in names
    ]
    for one in told:
        print(f"Linux {one.kernel}\n{one.trouble or table(one.rows)}\n")
    if asked.json:
        asked.json.write_text(json.dumps([asdict(row) for row in told[0].rows]))
    if len(names) > 1 and LOCAL in names and not any(one.trouble for one in told):
        _write(told)
    return int(any(one.trouble or any(row.wrong for row in one.rows) for one in told))


if __name__ == "__main__":
    sys.exit(main())
