"""Anomalies in words: for rows of tables, details and the overview."""

from __future__ import annotations

from collections.abc import Mapping

from probes.analysis.anomaly import CALM, ManyVerdicts, Verdict
from probes.arrays import np
from probes.columns.cells import NumberCells
from probes.model import Value
from probes.units import Unit
from tui.session.view import clock
from tui.table.fields import Field, TableRow

_NOTHING = 0.05
"""Usual values below this are called 0."""
_FARTHEST = 1e9


def words(verdict: Verdict) -> str:
    """Return "12x usual since 12:03:10", "was 0 until 12:03:10", or ""."""
    if verdict.since is None:
        return ""
    if verdict.usual is None:
        return "since start"
    link = "until" if brief(verdict) == "was 0" else "since"
    return f"{brief(verdict)} {link} {clock(verdict.since)}"


def brief(verdict: Verdict) -> str:
    """Return the same without the time."""
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
    """Return the verdict that is farthest from the usual."""
    return max((v for v in verdicts if v.since is not None), key=_distance, default=CALM)


def _distance(verdict: Verdict) -> tuple[float, float]:
    return (0 if verdict.usual is None else verdict.times), verdict.now


def noted(verdict: Verdict, instead: tuple[str, str] = ("", "")) -> dict[str, Value]:
    """Return the values that `unusual_field` needs. It sorts by the distance from the usual.

    instead: a long and a short text if it is not unusual, but wrong all the same.
    """
    if verdict.since is None:
        return {"unusual": None, "unusual_words": instead[0], "unusual_brief": instead[1]}
    far = min(_distance(verdict)[0], _FARTHEST)
    return {"unusual": far, "unusual_words": words(verdict), "unusual_brief": brief(verdict)}


def unusual_cells(number: int, verdicts: Mapping[int, Verdict]) -> NumberCells:
    """Return what `noted` has as "unusual" of so many rows. verdicts: of some, by place."""
    far, known = np.zeros(number), np.zeros(number, bool)
    for place, verdict in verdicts.items():
        if verdict.since is not None:
            far[place], known[place] = min(_distance(verdict)[0], _FARTHEST), True
    return NumberCells(far, known)


def unusual_of(verdicts: ManyVerdicts) -> NumberCells:
    """Return the same of the verdicts on all rows."""
    far = np.where(np.isnan(verdicts.usual), 0.0, np.minimum(verdicts.times, _FARTHEST))
    return NumberCells(far, verdicts.unusual)


def said(record: TableRow) -> list[tuple[str, str]]:
    """Return the line of a detail; none if nothing is unusual."""
    text = record.text("unusual_words")
    return [("Unusual", text)] if text else []


def mark_of(record: TableRow) -> str:
    """Return the record's own mark, as a field's colour."""
    return record.mark


def unusual_field(rank: int, grow: int = 24) -> Field:
    """Return the column that says what is unusual about a row, with the time if there is space."""
    return Field(
        "unusual", "Unusual", Unit.COUNT, 10, rank, grow,
        "compared with the last 15 minutes, unusual values excluded; since start: usual unknown",
        mark_of, lambda r: r.text("unusual_words"), lambda r: r.text("unusual_brief"), left=True,
    )  # fmt: skip
