"""The programs on an interface, in the order in which packets meet them, with their verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from probes import units
from probes.analysis.cases.at_interfaces import at_interfaces
from probes.analysis.droppers import error, program
from probes.analysis.snapshot_row import SnapshotRow
from probes.model import HookId
from probes.units import Unit
from tui.session.view import View
from tui.table.fields import SIGNS, label
from tui.table.lines import BLANK, Line, Span, fit, line, wrap
from tui.table.many_records import MARKS
from tui.toolkit import related
from tui.toolkit.detail import ruled

_SEEN = {
    "fexit": "fexit", "around": "our programs around it", "driver": "the driver's statistics",
    "runs": "runs: no BTF", "none": "name only",
}  # fmt: skip
_COLUMNS = {"Pass": ("pass",), "Drop": ("drop", "aborted"), "Redirect": ("redirect", "tx")}
_TOTALS = ("packets", "pass", "drop", "aborted", "tx", "redirect", "other", "ended")
_WIDE, _WIDEST = 100, 116


class PathProgram(NamedTuple):
    """A program on an interface. where: in the order in which packets meet it."""

    where: str
    row: SnapshotRow


def sitting(view: View, interface: str) -> list[PathProgram]:
    """Return XDP programs, then the chain at TC ingress, then that at TC egress."""
    xdp = [r for r in view.rows("xdp-programs") if r["interface"] == interface]
    tc = [r for r in view.rows("tc-programs") if r["interface"] == interface]
    tc.sort(key=lambda r: (r["direction"] != "ingress", r.number("position")))
    return [
        *(PathProgram(f"XDP {row['mode']}", row) for row in xdp),
        *(PathProgram(f"TC {_way(row)} {row['position']} {_at(row)}", row) for row in tc),
    ]


def _way(row: SnapshotRow) -> str:
    return "in" if row["direction"] == "ingress" else "out"


def _at(row: SnapshotRow) -> str:
    """Return "tcx", or clsact and the priority."""
    at = str(row["at"])
    return "tcx" if at == "tcx" else "clsact " + at.partition(" handle")[0]


def programs(view: View, interface: str, width: int) -> list[Line]:
    """List the programs: what comes to each a second, what it does with it, and who counts that."""
    found, wide = sitting(view, interface), width >= _WIDE
    names = 52 if width >= _WIDEST else 46 if wide else min(max(width - 34, 20), 44)
    columns = "".join(
        f"{title:>9}" if wide else f"{title:>7}" for title in ("In/s", *_titles(wide))
    )
    title = "Programs, in the order in which packets meet them"
    title = title if len(title) <= names - 1 else "Programs, in packets' order"
    head = ruled(title, names + 3, ascii=view.ascii)
    lines = [BLANK, Line((*head.spans, (columns, "header"), ("  Counted by" * wide, "header")))]
    marks = _marks(view, interface)
    for one in found:
        lines += _program(one, marks.get(program(one.row), ""), names, width, whole=view.unfolded)
    lines += _astray(view, interface)
    if any(one.row["seen"] != "fexit" for one in found):
        lines += _why(view, width)
    return lines if found else [*lines, line(("   none", "muted"))]


def _titles(wide: bool) -> Sequence[str]:
    return list(_COLUMNS) if wide else list(_COLUMNS)[:2]


def _marks(view: View, interface: str) -> dict[str, str]:
    """Return the marks of programs by name: those of what is wrong there because of them."""
    found: dict[str, str] = {}
    for claim in at_interfaces(view).get(interface, ()):
        for who in claim.who:
            if who.program is not None:
                found.setdefault(who.program, MARKS[claim.severity])
    return found


def _program(one: PathProgram, mark: str, names: int, width: int, *, whole: bool) -> Iterator[Line]:
    row, wide = one.row, width >= _WIDE
    where = 24 if wide else min(names // 2, 14)
    cell = 9 if wide else 7
    rates = [_rate(row, _COLUMNS[title]) for title in _titles(wide)]
    dropped = rates[1] or 0
    numbers = [(f"{units.count(row.rates.get('packets')):>{cell}}", "")]
    for title, rate in zip(_titles(wide), rates, strict=True):
        bad = title == "Drop" and bool(rate)
        numbers.append(
            (f"{units.count(rate):>{cell}}", (mark or "warn") * bad or "muted" * (not rate))
        )
    came, after = row.rates.get("packets") or 0, ""
    if wide:
        after = f"  {_SEEN.get(str(row['seen']), str(row['seen']))}"
    elif dropped and came:
        after = f"  {units.percent(100 * dropped / came)}"
    yield line(
        (f" {SIGNS[mark]} ", mark), (f"{fit(label(one.where), where - 1)} ", "muted"),
        (fit(label(program(row)), names - where), "accent"), *numbers, (label(after), "muted"),
    )  # fmt: skip
    if whole:
        yield from _more(row, width)


def _rate(row: SnapshotRow, verdicts: Sequence[str]) -> float | None:
    """Return the sum of what is known of these verdicts."""
    known = [rate for verdict in verdicts if (rate := row.rates.get(verdict)) is not None]
    return sum(known) if known else None


def _more(row: SnapshotRow, width: int) -> Iterator[Line]:
    """Say who holds it, how it is counted and why, and all its totals."""
    said = [
        f"held by {held}" if (held := related.held_by(row)) else "",
        f"attached by {row['by']}" if row.values.get("by") else "",
        f"dispatches to {row['parts']}" if row.values.get("parts") else "",
        str(row["why"] or ""),
    ]
    for text in filter(None, said):
        for part in wrap(label(text), max(width - 8, 20)):
            yield line((f"      {part}", "muted"))
    yield line(("      total  ", "muted"), *_totals(row))


def _totals(row: SnapshotRow) -> Iterator[Span]:
    for verdict in _TOTALS:
        value = row.values.get(verdict)
        if isinstance(value, int | float) and (value or verdict == "packets"):
            bad = verdict in ("drop", "aborted")
            yield f"{verdict} ", "muted"
            yield f"{units.count(value)}  ", "warn" if bad else ""


def _astray(view: View, interface: str) -> Iterator[Line]:
    """List what XDP programs aborted and what they failed to send on."""
    for row in view.rows("xdp-errors"):
        if row["interface"] == interface and row["packets"]:
            rate = row.rate("packets")
            yield line(
                (f"   {units.count(rate):>7}/s ", "bad" if rate else ""),
                (f"{units.show(row['packets'], Unit.PACKETS):>7} in total  ", "muted"),
                (label(f"XDP {error(row)}"), "warn"),
            )  # fmt: skip


def _why(view: View, width: int) -> Iterator[Line]:
    """Say, once each, why verdicts are unknown: the refusals of better rungs."""
    statuses = [view.status(HookId(hook)) for hook in ("xdp-programs", "tc-programs")]
    for text in dict.fromkeys(f"{r.rung}: {r.error}: {r.why}" for s in statuses for r in s.refused):
        for row in wrap(label(f"not by {text}"), max(width - 4, 20)):
            yield line((f"   {row}", "warn"))
