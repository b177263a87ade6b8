"""How well the screen judges: stories with one cause each, and calm workloads in which nothing is.

    make bench BENCH=incidents [ARGS="--quick | STORY..."]

As root. Each story of `tests/incidents` is played in network, mount and PID namespaces of its own,
beside a web server's orderly callers, a build and a port scan, before ebpftop on a terminal of
120x40: cold (it is started when the incident is on) and warm (one monitor for all stories). Prints
for each: the second in which a marked row or the verdict named the cause, and in which that was in
first place; the share of the time since in which it stayed there; what the best row does not say;
false alarms a minute; the first marked row.

--quick: the ten stories marked so, cold, and their calm workloads (8 minutes); --bare: without the
noise beside it; --memory: as the program's; --small: on a terminal of 80x24, cold, until one row
says who, what, where, which share and since when, from the first screen on. What was measured of
this very tree is kept under ~/.cache/ebpftop-incidents and is not played again, so an ended run is
resumed; --again: start over.
Rows that name a process or a namespace of other users of the machine are left out; use it alone all
the same: calls are counted for all. Asserts nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.incident_play import CALM, COLD, WARM, Outcome
from tests.support.incidents import apart, cgroup
from tests.support.incidents.apart import ROOT
from tests.support.incidents.story import stories

Wanted = list[tuple[str, str]]
"""Modes and names."""
SOON = 6.0
"""Seconds within which a cause is to be named."""
READ = 5.0
"""Seconds within which who, what, where, which share and since when are to be read."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench BENCH=incidents")
    parser.add_argument("names", nargs="*", metavar="STORY")
    parser.add_argument("--quick", action="store_true", help="ten stories, cold")
    parser.add_argument("--mode", choices=(COLD, WARM, CALM), help="only this")
    parser.add_argument("--bare", action="store_true", help="no noise beside it")
    parser.add_argument("--small", action="store_true", help="at 80x24, until all of it is read")
    parser.add_argument("--memory", help="the program's --memory")
    parser.add_argument("--again", action="store_true", help="start over")
    asked = parser.parse_args()
    if os.geteuid():
        parser.error("this takes root")
    if unknown := set(asked.names) - stories().keys():
        parser.error(f"no story {', '.join(sorted(unknown))}; there are {', '.join(stories())}")
    mode = COLD if asked.small else asked.mode
    wanted = [w for w in _wanted(asked.names, quick=asked.quick) if mode in (None, w[0])]
    how = (
        ["--bare"] * asked.bare
        + ["--small"] * asked.small
        + (["--memory", asked.memory] if asked.memory else [])
    )
    folder = _folder(how)
    if asked.again:
        _forget(folder, wanted)
    _play(wanted, folder, how)
    _show(wanted, _known(folder), folder)


def _wanted(names: Sequence[str], *, quick: bool) -> Wanted:
    chosen = {n: s for n, s in stories().items() if not names or n in names}
    chosen = {n: s for n, s in chosen.items() if s.quick or not quick}
    found = [(COLD, n) for n, s in chosen.items() if not s.calm]
    if not quick:
        found += [(WARM, n) for n, s in chosen.items() if not s.calm and not s.arguments]
    return found + [(CALM, n) for n, s in chosen.items() if s.calm]


def _folder(how: Sequence[str]) -> Path:
    """Where the outcomes of this tree are: of the program and of the stories as they are now."""
    digest = hashlib.sha256()
    for top in ("probes", "tui", "tests/incidents", "tests/support/incidents", "bench"):
        for path in sorted((ROOT / top).rglob("*.*")):
            if path.suffix in (".py", ".c", ".h"):
                digest.update(path.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "ebpftop-incidents" / "".join([digest.hexdigest()[:12], *how])
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _known(folder: Path) -> dict[tuple[str, str], Outcome]:
    file = folder / "outcomes.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    found = [Outcome(**json.loads(line)) for line in lines]
    return {(o.mode, o.story): o for o in found}


def _forget(folder: Path, wanted: Wanted) -> None:
    kept = [o for key, o in _known(folder).items() if key not in wanted]
    (folder / "outcomes.jsonl").write_text("".join(json.dumps(_values(o)) + "\n" for o in kept))


def _values(outcome: Outcome) -> dict[str, object]:
    return {name: getattr(outcome, name) for name in outcome.__slots__}


def _play(wanted: Wanted, folder: Path, how: Sequence[str]) -> None:
    """Cold and calm ones each in namespaces of their own, the warm ones in one."""
    left = [w for w in wanted if w not in _known(folder)]
    for mode, name in left:
        if mode != WARM:
            _apart(mode, [name], folder, how)
            _said(_known(folder).get((mode, name)), mode, name)
    if warm := [name for mode, name in left if mode == WARM]:
        _apart(WARM, warm, folder, how)


def _apart(mode: str, names: Sequence[str], folder: Path, how: Sequence[str]) -> None:
    arguments = [mode, str(folder), *names, *how]
    subprocess.run(apart.command("bench.incident_play", arguments), cwd=ROOT, check=False)
    cgroup.sweep()


def _said(outcome: Outcome | None, mode: str, name: str) -> None:
    print(_line(outcome) if outcome else f"{name:18}{mode:6} could not be played", flush=True)


HEAD = (
    f"{'story':18}{'mode':6}{'named':>7}{'first':>7}{'read':>7}{'held':>6}  {'right':6}{'lacks':22}"
    f"{'false/min':>9}  first marked row"
)


def _line(one: Outcome) -> str:
    seconds = (one.named, one.first, one.read)
    named, first, read = ("-" if s is None else f"{s:.1f}s" for s in seconds)
    held = f"{one.held:.0%}" if one.first is not None else "-"
    lacks = "" if one.mode == CALM else " ".join(one.lacks)
    shown = next(iter(one.wrong), "") if one.mode == CALM else one.first_row or "(none)"
    return (
        f"{one.story:18}{one.mode:6}{named:>7}{first:>7}{read:>7}{held:>6}  "
        f"{'yes' if one.right else 'NO':6}"
        f"{lacks:22}{one.false_per_minute:9.1f}  {' '.join(shown.split())[:110]}"
    )


def _show(wanted: Wanted, known: dict[tuple[str, str], Outcome], folder: Path) -> None:
    found = [known[w] for w in wanted if w in known]
    print("\n" + HEAD)
    for one in found:
        print(_line(one))
    for mode in (COLD, WARM):
        _sum(mode, [o for o in found if o.mode == mode])
    calm = [o for o in found if o.mode == CALM]
    if calm:
        print(f"calm: {sum(o.right for o in calm)} of {len(calm)} without a marked row")
    print(f"screens and outcomes: {folder}")


def _sum(mode: str, found: Iterable[Outcome]) -> None:
    if not (found := list(found)):
        return
    soon = sum(o.right and (o.first or 0) <= SOON for o in found)
    false = 60 * sum(len(o.wrong) for o in found) / max(sum(o.seconds for o in found), 1)
    read = sum(o.read is not None and o.read <= READ for o in found)
    print(
        f"{mode}: {read} of {len(found)} read in full within {READ:.0f} s;"
        f" {soon} in first place within {SOON:.0f} s,"
        f" {sum(o.right for o in found)} at all, {sum(o.named is not None for o in found)} named"
        f" somewhere; {false:.1f} false alarms a minute"
    )


if __name__ == "__main__":
    main()
