"""The overview's cases as the screen shows them: the one place that knows its layout.

When ebpftop tells its findings as JSON, `cases` reads those, and nothing else changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_HEAD = re.compile(r"^  (What is wrong|Busiest and slowest)\s.*\sNow\s+Usual\s")
_ROW = re.compile(r"^[ ▸>](?P<mark>[ !~])(?P<said>\S.*)$")
_UNDER = re.compile(r"^ {6}\S|^\s*$")
_SPARKS = re.compile("[\u2581-\u2588]+")
_BEYOND = re.compile(r"^  \d+ more[,:] ")
_SEVERAL = re.compile(r"^\d+ (things? (is|are) |wrong|unusual)")


@dataclass(frozen=True, slots=True)
class Case:
    """A row: marked red or not, and all that it says."""

    marked: bool
    text: str

    @property
    def name(self) -> str:
        """What tells it from others: its first column."""
        return self.text.split("  ")[0]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the screen says at one moment; verdict: if it is of one case, which is an alarm."""

    verdict: str
    cases: tuple[Case, ...]

    def marked(self) -> list[Case]:
        return [c for c in self.cases if c.marked]


def reading(screen: str) -> Reading:
    lines = [_SPARKS.sub("", line).rstrip() for line in screen.split("\n")]
    said = next((n for n in lines[:4] if n.startswith(" ! ")), "")
    verdict = "" if _SEVERAL.match(said[3:]) else said[3:]
    rules = [Case(True, n.strip()) for n in lines[:4] if n.startswith(" DROPPING ")]
    return Reading(verdict, (*rules, *(_with(case, verdict) for case in _cases(lines))))


def _with(case: Case, verdict: str) -> Case:
    """A row and what the verdict says of the same, which stands above it."""
    also = case.marked and verdict.startswith(f"{case.name},")
    return Case(case.marked, f"{case.text}  {verdict}" if also else case.text)


def _cases(lines: Sequence[str]) -> Iterator[Case]:
    head = next((i for i, n in enumerate(lines) if _HEAD.match(n)), len(lines))
    mark, text, whole = "", "", False
    for line in lines[head + 1 :]:
        if _BEYOND.match(line):
            break
        if row := _ROW.match(line):
            if text:
                yield Case(mark == "!", text.strip())
            mark, text, whole = row["mark"], row["said"].strip(), False
        elif _UNDER.match(line):
            text, whole = f"{text}  {line.strip()}", True
        else:
            break  # the graphs begin
    if text and whole:  # the last row may be cut by the graphs
        yield Case(mark == "!", text.strip())


class Others:
    """Whose rows are not of this stage: the kernel counts for all who use the machine."""

    def __init__(self) -> None:
        self._namespaces: set[str] = set()

    def look(self) -> None:
        """Which network namespaces are here."""
        places = [Path("/proc/self/ns/net"), *Path("/run/netns").glob("*")]
        self._namespaces |= {str(place.stat().st_ino) for place in places}

    def made(self, case: Case) -> bool:
        """Whether a row names a namespace or a process that is not here."""
        spaces = re.findall(r"netns (\d+)", case.text)
        if any(space not in self._namespaces for space in spaces):
            return True
        last = int(Path("/proc/loadavg").read_text().split()[-1])
        pids = [int(pid) for pid in re.findall(r"\w\[(\d+)\]", case.text)]
        return bool(pids) and all(pid > last or pid == 0 for pid in pids)
