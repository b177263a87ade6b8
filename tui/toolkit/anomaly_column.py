"""What is unusual, in words: for rows of tables, details and the overview."""

from __future__ import annotations

from probes.model import Value
from probes.units import Unit
from tui.session.anomaly import CALM, Verdict
from tui.session.view import clock
from tui.table.fields import Field, Record

_NOTHING = 0.05
"""A usual value that people would call 0."""


def words(verdict: Verdict) -> str:
    """Such as "12x usual since 12:03:10", "was 0 until 12:03:10", or nothing."""
    if verdict.since is None:
        return ""
    if verdict.usual is None:
        return "since start"
    link = "until" if brief(verdict) == "was 0" else "since"
    return f"{brief(verdict)} {link} {clock(verdict.since)}"


def brief(verdict: Verdict) -> str:
    """The same without since when."""
    if verdict.since is None:
        return ""
    if verdict.usual is None:
        return "from start"
    if verdict.new:
        return "new"
    if verdict.usual < _NOTHING:
        return "was 0"
    times = verdict.times
    return ">999x" if times >= 999.5 else f"{times:.{times < 9.95:d}f}x usual"


def worst(*verdicts: Verdict) -> Verdict:
    """The one that is farthest from what is usual."""
    return max((v for v in verdicts if v.since is not None), key=_distance, default=CALM)


def _distance(verdict: Verdict) -> tuple[float, float]:
    return (0 if verdict.usual is None else verdict.times), verdict.now


def noted(verdict: Verdict, instead: tuple[str, str] = ("", "")) -> dict[str, Value]:
    """What a record needs for `unusual_field`. It is sorted by how far it is from the usual.

    instead: what to say, and in short, where it is not unusual, but wrong all the same.
    """
    if verdict.since is None:
        return {"unusual": None, "unusual_words": instead[0], "unusual_brief": instead[1]}
    far = min(_distance(verdict)[0], 1e9)
    return {"unusual": far, "unusual_words": words(verdict), "unusual_brief": brief(verdict)}


def said(record: Record) -> list[tuple[str, str]]:
    """The line of a detail; none where nothing is unusual."""
    text = record.text("unusual_words")
    return [("Unusual", text)] if text else []


def mark_of(record: Record) -> str:
    """As a field's colour: the record's own mark."""
    return record.mark


def unusual_field(rank: int, grow: int = 24) -> Field:
    """The column that says what is unusual about a row, and since when where there is space."""
    return Field(
        "unusual", "Unusual", Unit.COUNT, 10, rank, grow,
        "against the last 15 minutes without what was unusual in them; since start: not known",
        mark_of, lambda r: r.text("unusual_words"), lambda r: r.text("unusual_brief"), left=True,
    )  # fmt: skip
