"""JUnit files of several kernels -> one table: rungs and tests down, kernels across."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from xml.etree import ElementTree

RUNG_ID = re.compile(r"\[([\w-]+):([\w-]+)")


class Outcome(IntEnum):
    """What one test gave; where several tests are of one rung, the highest is shown."""

    ABSENT = 0
    SKIPPED = 1
    REFUSED = 2
    OK = 3
    FAILED = 4


@dataclass(frozen=True, slots=True)
class Result:
    """One test on one kernel. rung: "hook rung", or "" for a test that is of none."""

    test: str
    file: str
    rung: str
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """One kernel. trouble: why there are no results at all, if there are none."""

    name: str
    release: str
    seconds: float = 0.0
    results: tuple[Result, ...] = ()
    trouble: str = ""


def read(junit: Path) -> tuple[Result, ...]:
    """The results in one JUnit file. Raises OSError, ElementTree.ParseError."""
    return tuple(_result(case) for case in ElementTree.parse(junit).iter("testcase"))


def _result(case: ElementTree.Element) -> Result:
    name, place = case.get("name", ""), case.get("classname", "")
    said = {p.get("name", ""): p.get("value", "") for p in case.iter("property")}
    by_id = RUNG_ID.search(name)
    hook = said.get("hook") or (by_id[1] if by_id else "")
    rung = said.get("rung") or (by_id[2] if by_id else "")
    outcome, detail = _outcome(case, said)
    # classname is the path with dots: tests.kernel.test_rungs
    return Result(name, place.rpartition(".")[2], f"{hook} {rung}".strip(), outcome, detail)


def _outcome(case: ElementTree.Element, said: dict[str, str]) -> tuple[Outcome, str]:
    for tag in ("failure", "error"):
        if (bad := case.find(tag)) is not None:
            return Outcome.FAILED, " ".join(bad.get("message", "").split())
    if refused := said.get("refused"):
        return Outcome.REFUSED, refused
    if (skipped := case.find("skipped")) is not None:
        return Outcome.SKIPPED, skipped.get("message", "")
    return Outcome.OK, said.get("count", "")


@dataclass(slots=True)
class Table:
    """The finished table: rows of cells, notes (numbered from 1) that cells point at."""

    heads: list[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def note(self, text: str) -> str:
        text = " ".join(text.split())
        if text not in self.notes:
            self.notes.append(text)
        return f"[{self.notes.index(text) + 1}]"

    def text(self) -> str:
        """For a terminal: columns lined up, notes below."""
        widths = [max(map(len, column)) for column in zip(self.heads, *self.rows, strict=True)]
        lines = [self.heads, ["-" * width for width in widths], *self.rows]
        padded = (zip(line, widths, strict=True) for line in lines)
        table = ["  ".join(cell.ljust(width) for cell, width in line).rstrip() for line in padded]
        return "\n".join([*table, "", *self._numbered()])

    def markdown(self) -> str:
        """The same for a page."""
        lines = [self.heads, ["---"] * len(self.heads), *self.rows]
        table = [
            "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
        ]
        return "\n".join([*table, "", *(f"- {note}" for note in self._numbered())])

    def _numbered(self) -> list[str]:
        return [f"[{number}] {note}" for number, note in enumerate(self.notes, 1)]


def table(columns: Sequence[Column], rungs: Iterable[str]) -> Table:
    """rungs: those that must have been seen working on one kernel at least ("hook rung")."""
    made = Table(["", *(f"{c.name} ({c.release})" if c.release else c.name for c in columns)])
    found = [r.rung for c in columns for r in c.results if r.rung]
    for rung in dict.fromkeys([*rungs, *found]):
        per_kernel = [[r for r in c.results if r.rung == rung] for c in columns]
        made.rows.append([rung, *(_rung_cell(made, results) for results in per_kernel)])
    files = dict.fromkeys(r.file for c in columns for r in c.results if not r.rung)
    for file in files:
        per_kernel = [[r for r in c.results if r.file == file and not r.rung] for c in columns]
        made.rows.append([file, *(_file_cell(made, results) for results in per_kernel)])
    for column in columns:
        where = f"{column.name}: "
        if column.trouble:
            made.failures.append(where + column.trouble)
        for result in column.results:
            if result.outcome is Outcome.FAILED:
                made.failures.append(f"{where}{result.file}::{result.test}: {result.detail}")
    seen = {r.rung for c in columns for r in c.results if r.outcome is Outcome.OK}
    made.failures += [f"{rung}: no kernel here exercised it" for rung in rungs if rung not in seen]
    return made


def _rung_cell(made: Table, results: list[Result]) -> str:
    worst = max(results, key=lambda r: r.outcome, default=None)
    match worst:
        case None:
            return "-"
        case Result(outcome=Outcome.FAILED):
            return "FAILED"
        case Result(outcome=Outcome.OK):
            counts = [r.detail for r in results if r.outcome is Outcome.OK and r.detail]
            return f"ok ({counts[0]})" if counts else "ok"
        case Result(outcome=Outcome.REFUSED):
            return f"refused {worst.detail.split()[0].rstrip(':')} {made.note(worst.detail)}"
        case _:
            return f"skipped {made.note(worst.detail)}"


def _file_cell(made: Table, results: list[Result]) -> str:
    if not results:
        return "-"
    hits = Counter(r.outcome for r in results)
    words = {Outcome.FAILED: "FAILED", Outcome.OK: "ok", Outcome.REFUSED: "refused"}
    parts = [f"{hits[outcome]} {word}" for outcome, word in words.items() if hits[outcome]]
    if hits[Outcome.SKIPPED]:
        why = {made.note(r.detail): None for r in results if r.outcome is Outcome.SKIPPED}
        parts.append(f"{hits[Outcome.SKIPPED]} skipped {' '.join(why)}")
    return ", ".join(parts)
