"""Blocks of an interface's detail: its funnel, all programs in order, drop reasons."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Sequence
from typing import NamedTuple

from probes import units
from probes.analysis.cases.at_interfaces import at_interfaces
from probes.analysis.cases.claim import Claim, Gravity
from probes.analysis.classes import meaning_of
from probes.analysis.droppers import error, program
from probes.analysis.flows import Flow, sum_of
from probes.analysis.freed import Drop, drops_at
from probes.analysis.funnel import Stage, funnel
from probes.analysis.hit_rates import by_stage
from probes.analysis.many import many_of
from probes.analysis.snapshot_row import SnapshotRow
from probes.model import HookId
from probes.units import Unit
from tui.session.view import View
from tui.table.fields import label
from tui.table.lines import Line, Span, fit, line, wrap
from tui.toolkit.detail import heading

MAX_REASONS = 12
"""Lines of drop reasons in a detail, at most; the others are counted."""
_VERDICTS = ("pass", "drop", "aborted", "tx", "redirect", "other", "ended")
_SEEN = {
    "fexit": "fexit", "around": "our programs around it", "driver": "the driver's statistics",
    "runs": "run count", "none": "name only",
}  # fmt: skip


_TITLES = {"nic": "NIC", "xdp": "XDP", "tc-ingress": "TC ingress", "tc-egress": "TC egress"}
_HOOKS = (
    "interfaces", "drops", "qdiscs", "xdp", "xdp-programs", "xdp-errors", "tc-ingress",
    "tc-egress", "tc-programs",
)  # fmt: skip


def way(view: View, interface: str, width: int) -> list[Line]:
    """Draw the funnel: what reached each stage and what was lost there (skbs), and to what.

    A column of segments is added if what arrived on the wire differs from skbs (GSO, GRO).
    """
    snapshots = {hook: view.of(hook) for hook in _HOOKS}
    stages = funnel(snapshots, interface, view.since, by_stage(view.dropping, interface))
    wire = any(s.segments not in (None, s.came) for s in stages)
    segments = f"{'segments':>9}" if wire else ""
    head = (
        f"  {'':16}{'in/s':>8}{'lost/s':>8}{'in':>9}{segments}{'lost':>8}{'ordinary':>9}  most by"
    )
    lines = [
        *heading("Packet path: per second, and since start"),
        line((head, "header")),
    ]
    room = max(width - len(head) + 7, 8)
    alarming = {claim.where.stage for claim in _alarms(view, interface)}
    lines += [_stage(stage, room, wire, bad=stage.name in alarming) for stage in stages]
    every = sum_of(s.lost for s in stages if s.lost is not None)
    known = [s.ordinary for s in stages if s.ordinary is not None]
    ordinary = sum_of(known) if known else None
    total = Stage("total lost", None, every, ordinary=ordinary)
    return [*lines, _stage(total, 8, wire, bad=bool(alarming))]


def _alarms(view: View, interface: str) -> list[Claim]:
    """Return what harms somebody there."""
    claims = at_interfaces(view).get(interface, ())
    return [claim for claim in claims if claim.severity is Gravity.ALARM]


def _stage(stage: Stage, room: int, wire: bool, *, bad: bool) -> Line:
    """Draw a stage. wire: with a column for segments. bad: it harms somebody."""
    lost = stage.lost or Flow(0, None)
    role = "bad" if bad else "warn" if lost.per_s else "" if lost.total else "muted"
    came = stage.came or Flow(0, None)
    known = stage.came is not None
    segments = f"{units.count(stage.segments.total) if stage.segments else '':>9}" if wire else ""
    return line(
        ("! " if bad else "  ", role), fit(_TITLES.get(stage.name, stage.name), 16),
        (f"{units.count(came.per_s) if known else '':>8}", ""),
        (f"{units.count(lost.per_s):>8}", role),
        (f"{units.count(came.total) if known else '':>9}", "muted"),
        (segments, "muted"),
        (f"{units.count(lost.total if stage.lost else None):>8}", role or "muted"),
        (f"{units.count(stage.ordinary.total if stage.ordinary else None):>9}", "muted"),
        "  ", (fit(label(stage.why), room).rstrip(), role or "muted"),
    )  # fmt: skip


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
    """List the interface's programs with their verdicts (rates and totals) and their source."""
    lines = heading("Programs, in the order in which packets meet them")
    found = sitting(view, interface)
    for one in found:
        lines += _program(one, width)
    lines += _astray(view, interface)
    if any(one.row["seen"] != "fexit" for one in found):
        lines += _why(view, width)
    return lines if found else [*lines, line(("  none", "muted"))]


def _why(view: View, width: int) -> Iterator[Line]:
    """Say, once each, why verdicts are unknown: the refusals of better rungs."""
    statuses = [view.status(HookId(hook)) for hook in ("xdp-programs", "tc-programs")]
    for text in dict.fromkeys(f"{r.rung}: {r.error}: {r.why}" for s in statuses for r in s.refused):
        for row in wrap(label(f"not by {text}"), max(width - 4, 20)):
            yield line((f"  {row}", "warn"))


def _astray(view: View, interface: str) -> Iterator[Line]:
    """List what XDP programs aborted and what they failed to send on."""
    for row in view.rows("xdp-errors"):
        if row["interface"] == interface and row["packets"]:
            rate = row.rate("packets")
            yield line(
                (f"  {units.count(rate):>7}/s ", "bad" if rate else ""),
                (f"{units.show(row['packets'], Unit.PACKETS):>7} in total  ", "muted"),
                (label(f"XDP {error(row)}"), "warn"),
            )  # fmt: skip


def _program(one: PathProgram, width: int) -> Iterator[Line]:
    row = one.row
    seen = _SEEN.get(str(row["seen"]), str(row["seen"]))
    by = f", by {row['by']}" if row.values.get("by") else ""
    yield line(
        ("  " + fit(label(one.where), 22), "muted"), (label(program(row)), "accent"),
        (label(f"  seen by {seen}{by}"), "good" if seen == "fexit" else "warn"),
    )  # fmt: skip
    for text in wrap(label(row["why"] or ""), max(width - 26, 20)):
        yield line((" " * 24, ""), (text, "muted"))
    if held := row.values.get("held_by"):
        for text in wrap(label(f"held by {held}"), max(width - 26, 20)):
            yield line((" " * 24, ""), (text, "muted"))
    if row.values.get("parts"):
        yield line((" " * 24, ""), (label(f"dispatches to {row['parts']}"), "muted"))
    yield line(("    per second  ", "muted"), *_counts(row, rates=True))
    yield line(("    total       ", "muted"), *_counts(row, rates=False))


def _counts(row: SnapshotRow, *, rates: bool) -> Iterator[Span]:
    for verdict in ("packets", *_VERDICTS):
        if verdict not in row.rates:
            continue
        value = row.rates[verdict] if rates else row[verdict]
        if verdict in ("aborted", "tx", "other") and not value:
            continue
        if verdict != "packets" and (verdict == "ended") is not (row["seen"] == "around"):
            continue  # it is seen one way or the other
        number = value if isinstance(value, int | float) else None
        bad = verdict in ("drop", "aborted") and number
        yield f"{verdict} ", "muted"
        yield fit(units.count(number), 7), "bad" if bad else "" if number else "muted"


def reasons(view: View, interface: str, width: int) -> list[Line]:
    """List what the kernel itself dropped: how fast, why, where, of what, and what that means."""
    found, ordinary = drops_at(many_of(view, "drops") or view.rows("drops"), interface)
    alarming = {row.key for claim in _alarms(view, interface) for row in claim.rows}
    lines = [*heading("Lost by the kernel"), *_reasons(found, width, alarming)]
    if ordinary:
        lines += heading("Ordinary: freed after normal use")
        lines += _reasons(ordinary, width, ())
    return lines


def _reasons(found: Sequence[Drop], width: int, alarming: Collection[Hashable]) -> list[Line]:
    lines: list[Line] = []
    explained = set[str]()
    for rate, row in found[:MAX_REASONS]:
        bad = bool(rate) and row.key in alarming
        lines.append(
            line(
                (f"  {units.count(rate):>7}/s ", "bad" if bad else ""),
                (f"{units.show(row['packets'], Unit.PACKETS):>7} in total  ", "muted"),
                fit(label(row["reason"]), 22), " ",
                fit(label(_of_what(row)), 10),
                (fit(label(row["location"]), max(width - 66, 12)).rstrip(), "muted"),
            )
        )  # fmt: skip
        what, sentence = meaning_of(row.stored)
        if sentence not in explained:
            explained.add(sentence)
            text = f"{what}: {sentence}"
            lines += [line((f"{'':12}{part}", "muted")) for part in wrap(text, max(width - 14, 20))]
    if len(found) > MAX_REASONS:
        lines.append(line((f"  and {len(found) - MAX_REASONS} more", "muted")))
    return lines if found else [line(("  nothing", "muted"))]


def _of_what(row: SnapshotRow) -> str:
    """Return the protocol and port: "udp:514", "icmp"; "" if unknown."""
    protocol, port = row.values.get("protocol"), row.values.get("dport")
    if protocol in (None, "-"):
        return ""
    return f"{protocol}:{port}" if port is not None else str(protocol)
