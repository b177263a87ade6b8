"""What several kernels gave -> tables: rungs, situations and tests down, kernels across."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.support.guest.results import PLAIN, Column, Outcome, Result

CHOSEN = " *"


@dataclass(slots=True)
class Notes:
    """Sentences that cells point at, numbered from 1."""

    texts: list[str] = field(default_factory=list)

    def add(self, text: str) -> str:
        text = " ".join(text.split())
        if text not in self.texts:
            self.texts.append(text)
        return f"[{self.texts.index(text) + 1}]"

    def lines(self) -> list[str]:
        return [f"[{number}] {text}" for number, text in enumerate(self.texts, 1)]


@dataclass(slots=True)
class Table:
    """Rows of cells under a title; a sentence says how to read them."""

    title: str
    reading: str
    heads: list[str]
    rows: list[list[str]] = field(default_factory=list)

    def text(self) -> str:
        """For a terminal: columns lined up."""
        widths = [max(map(len, column)) for column in zip(self.heads, *self.rows, strict=True)]
        lines = [self.heads, ["-" * width for width in widths], *self.rows]
        padded = (zip(line, widths, strict=True) for line in lines)
        table = ["  ".join(cell.ljust(width) for cell, width in line).rstrip() for line in padded]
        return "\n".join([f"== {self.title}", *table, ""])

    def markdown(self) -> str:
        """The same for a page."""
        lines = [self.heads, ["---"] * len(self.heads), *self.rows]
        table = [
            "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
        ]
        return "\n".join([f"## {self.title}", "", self.reading, "", *table, ""])


@dataclass(slots=True)
class Report:
    """All that one run of the matrix has to say."""

    tables: list[Table]
    notes: Notes
    failures: list[str]

    def text(self) -> str:
        failed = [f"FAILED  {failure}" for failure in self.failures]
        return "\n".join([*(t.text() for t in self.tables), *self.notes.lines(), *failed])

    def markdown(self) -> str:
        notes = ["## Notes", "", *(f"- {line}" for line in self.notes.lines())]
        return "\n".join([*(t.markdown() for t in self.tables), *notes, ""])


def report(columns: Sequence[Column], rungs: Sequence[str], pinned: Collection[str] = ()) -> Report:
    """rungs: those ("hook rung") that must have been seen working, and must have been come to by
    a ladder, on one kernel at least. pinned: those of them that no ladder comes to by itself."""
    notes = Notes()
    tables = [
        _rungs(columns, rungs, notes),
        _situations(columns, notes),
        _tests(columns, notes),
        _versions(columns),
    ]
    return Report([t for t in tables if t.rows], notes, list(_failures(columns, rungs, pinned)))


def _failures(
    columns: Sequence[Column], rungs: Iterable[str], pinned: Collection[str]
) -> Iterator[str]:
    for column in columns:
        if column.trouble:
            yield f"{column.name}: {column.trouble}"
        for result in column.results:
            if result.outcome is Outcome.FAILED:
                yield f"{column.name}: {result.file}::{result.test}: {result.detail}"
    seen = {r.rung for c in columns for r in c.results if r.outcome is Outcome.OK}
    reached = set[str]().union(*(c.reached() for c in columns))
    for rung in rungs:
        if rung not in seen:
            yield f"{rung}: no kernel here exercised it"
        if rung not in reached and rung not in pinned:
            yield f"{rung}: no ladder here came to it by itself"


def _heads(columns: Sequence[Column]) -> list[str]:
    return ["", *(f"{c.name} ({c.release})" if c.release else c.name for c in columns)]


def _rungs(columns: Sequence[Column], rungs: Iterable[str], notes: Notes) -> Table:
    made = Table(
        "Rungs",
        "*ok*: attached, a known number of events caused, exactly that number counted (in "
        "brackets). *refused*: this kernel, or this machine's policy, does not have it. "
        f"`{CHOSEN.strip()}`: the rung that the ladder takes there by itself, as root.",
        _heads(columns),
    )
    chosen = [c.chosen() for c in columns]
    found = [r.rung for c in columns for r in c.results if r.rung]
    for rung in dict.fromkeys([*rungs, *found]):
        cells = [
            _rung_cell([r for r in c.results if r.rung == rung], notes)
            + (CHOSEN if rung in default else "")
            for c, default in zip(columns, chosen, strict=True)
        ]
        made.rows.append([rung, *cells])
    return made


def _rung_cell(results: list[Result], notes: Notes) -> str:
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
            return f"refused {worst.detail.split()[0].rstrip(':')} {notes.add(worst.detail)}"
        case _:
            return f"skipped {notes.add(worst.detail)}"


def _situations(columns: Sequence[Column], notes: Notes) -> Table:
    """A row for each ladder that comes to another rung than without the obstacle."""
    made = Table(
        "When something stands in the way",
        "The rung that the ladder comes to by itself; *=*: the same as without the obstacle. The "
        "note is what ebpftop says of it.",
        _heads(columns),
    )
    said: dict[str, str] = {}
    for result in (r for c in columns for r in c.results if r.situation):
        said[result.situation] = said.get(result.situation) or result.obstacle
    for situation, obstacle in said.items():
        ladders = [c.ladders(situation) for c in columns]
        note = notes.add(obstacle) if obstacle else ""
        for id in dict.fromkeys(id for found in ladders for id in found):
            plain = [c.ladders(PLAIN).get(id) for c in columns]
            cells = [
                "=" if rung and rung == usual and situation != PLAIN else rung or "-"
                for rung, usual in zip((f.get(id) for f in ladders), plain, strict=True)
            ]
            if set(cells) - {"=", "-"}:
                made.rows.append([f"{situation} {note}: {id}".replace(" :", ":"), *cells])
    return made


def _tests(columns: Sequence[Column], notes: Notes) -> Table:
    made = Table("Tests", "Those that are of no single rung, by file.", _heads(columns))
    for file in dict.fromkeys(r.file for c in columns for r in c.results if not r.rung):
        per_kernel = [[r for r in c.results if r.file == file and not r.rung] for c in columns]
        made.rows.append([file, *(_file_cell(results, notes) for results in per_kernel)])
    return made


def _file_cell(results: list[Result], notes: Notes) -> str:
    if not results:
        return "-"
    hits = Counter(r.outcome for r in results)
    words = {Outcome.FAILED: "FAILED", Outcome.OK: "ok", Outcome.REFUSED: "refused"}
    parts = [f"{hits[outcome]} {word}" for outcome, word in words.items() if hits[outcome]]
    if hits[Outcome.SKIPPED]:
        why = {notes.add(r.detail): None for r in results if r.outcome is Outcome.SKIPPED}
        parts.append(f"{hits[Outcome.SKIPPED]} skipped {' '.join(why)}")
    return ", ".join(parts)


def _versions(columns: Sequence[Column]) -> Table:
    made = Table("Versions", "What was used where.", _heads(columns))
    for name in dict.fromkeys(name for c in columns for name in c.versions):
        made.rows.append([name, *(c.versions.get(name, "-") for c in columns)])
    took = [f"{c.seconds:.0f}" if c.seconds else "-" for c in columns]
    made.rows.append(["seconds", *took])
    return made
