"""The packet path of an interface: what reaches each stage, what is lost there, and by what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from probes import units
from probes.analysis.cases.at_interfaces import at_interfaces
from probes.analysis.cases.claim import Claim
from probes.analysis.flows import Flow, sum_of
from probes.analysis.funnel import Stage, funnel
from probes.analysis.hit_rates import by_stage
from tui.panes.interfaces.path_graphs import lost_and_in, lost_usual, usual_at_stages
from tui.panes.interfaces.path_reasons import here
from tui.session.view import View
from tui.table.fields import SIGNS, TableRow, label
from tui.table.lines import BLANK, Line, Span, fit, line, width_of
from tui.table.many_records import MARKS

_TITLES = {"nic": "NIC", "xdp": "XDP", "tc-ingress": "TC ingress", "tc-egress": "TC egress"}
_BRIEF = {"tc-ingress": "TC", "tc-egress": "TC"}
_WAYS = {"nic": "in", "tc-egress": "out"}
"""The stages at which a packet's way begins."""
_HOOKS = (
    "interfaces", "drops", "qdiscs", "xdp", "xdp-programs", "xdp-errors", "tc-ingress",
    "tc-egress", "tc-programs",
)  # fmt: skip
_WIDE, _WIDEST_BAR, _LEAST_BAR = 100, 36, 8
_ROLES = {"bad": "graph3", "warn": "graph2"}


class _PathColumns(NamedTuple):
    """The widths that fit. bar: 0: none. usual: whether that is a column."""

    stage: int
    bar: int
    usual: bool
    by: int


def packet_path(view: View, record: TableRow, width: int) -> list[Line]:
    """Draw the path, and what is lost and comes over time."""
    name = record.name
    found = Path.of(view, name)
    table = _complete(found, width) if view.unfolded else found.table(width)
    drawn = lost_and_in(view, record, found.lost.per_s, width)
    return [*table, BLANK, *drawn]


def claims_at(view: View, interface: str) -> Sequence[Claim]:
    """Return what is wrong there and not our own doing, the worst first."""
    return [claim for claim in at_interfaces(view).get(interface, ()) if not claim.own]


class Path:
    """The stages of an interface, with what is claimed and known of each."""

    def __init__(self, view: View, interface: str, stages: Sequence[Stage]) -> None:
        self.stages = stages
        self.lost = sum_of(s.lost for s in stages if s.lost is not None)
        self._ascii, self._reasons = view.ascii, here(view, interface)
        self._usual = lost_usual(view, interface)
        self._usual_at = usual_at_stages(view, interface)
        self._claims: dict[str, list[Claim]] = {}
        for claim in claims_at(view, interface):
            self._claims.setdefault(claim.where.stage or "", []).append(claim)

    @classmethod
    def of(cls, view: View, interface: str) -> Path:
        snapshots = {hook: view.of(hook) for hook in _HOOKS}
        ours = by_stage(view.dropping, interface)
        return cls(view, interface, funnel(snapshots, interface, view.since, ours))

    def mark(self, stage: str) -> str:
        """Return the mark of the worst claim of a stage."""
        return MARKS[max((c.severity for c in self._claims.get(stage, ())), default=0)]

    @property
    def worst(self) -> str:
        return MARKS[max((c.severity for some in self._claims.values() for c in some), default=0)]

    def table(self, width: int) -> list[Line]:
        """Return a line for each stage, with a bar of what comes and the part that is lost."""
        layout = _layout(width)
        most = max([s.came.per_s or 0 for s in self.stages if s.came is not None], default=0)
        lines = [_head(layout), *(self._stage(stage, layout, most) for stage in self.stages)]
        every = Stage("all", None, self.lost)
        return [*lines, self._line(every, layout, (), self.worst, self._usual, "")]

    def _stage(self, stage: Stage, layout: _PathColumns, most: float) -> Line:
        mark = self.mark(stage.name)
        claimed = [c.usual for c in self._claims.get(stage.name, ()) if c.usual is not None]
        bar = _bar(stage, most, layout.bar, mark, ascii=self._ascii)
        usual = sum(claimed) if claimed else self._usual_at.get(stage.name)
        return self._line(stage, layout, bar, mark, usual, self._by(stage, layout.by))

    def _line(
        self, stage: Stage, layout: _PathColumns, bar: Sequence[Span], mark: str,
        usual: float | None, by: str,
    ) -> Line:  # fmt: skip
        lost = stage.lost or Flow(0, None)
        known = stage.came is not None
        came = units.count(stage.came.per_s) if stage.came is not None else units.DASH
        role = mark if lost.per_s else "" if lost.total else "muted"
        title = _BRIEF.get(stage.name, "") if layout.stage < 10 else ""
        spans: list[Span] = [
            (f" {SIGNS[mark]} ", mark), (f"{_WAYS.get(stage.name, ''):4}", "muted"),
            (fit(title or _TITLES.get(stage.name, stage.name), layout.stage), mark),
            (f"{came if stage.name != 'all' else '':>8}", "" if known else "muted"),
        ]  # fmt: skip
        if layout.bar:
            left = layout.bar - sum(len(text) for text, _ in bar)
            spans += [(" ", ""), *bar, (" " * left, "")]
        spans.append((f"{units.count(lost.per_s):>8}", role))
        if layout.usual:
            spans.append((f"{units.count(usual) if usual is not None else '':>7}", "muted"))
        spans.append((f"{units.count(lost.total if stage.lost else None):>8}", role or "muted"))
        return line(*spans, "  ", (fit(label(by), layout.by).rstrip(), role or "muted"))

    def _by(self, stage: Stage, room: int) -> str:
        """Say in as many words as fit by what most is lost."""
        reason = self._reasons.get(stage.why)
        texts = [stage.why] if reason is None else [reason.said, reason.named, stage.why]
        short = stage.why.partition(" at ")[0]
        return next((text for text in texts if width_of(text) <= room), short)


def _layout(width: int) -> _PathColumns:
    wide = width >= _WIDE
    stage = 11 if wide else 7
    bar = min(width - (84 if wide else 56), _WIDEST_BAR)
    bar = bar if bar >= _LEAST_BAR else 0
    taken = 3 + 4 + stage + 8 + (bar + 1 if bar else 0) + 8 + (7 if wide else 0) + 8 + 2
    return _PathColumns(stage, bar, wide, max(width - taken, 8))


def _head(layout: _PathColumns) -> Line:
    bar = layout.bar + 1 if layout.bar else 0
    usual = f"{'Usual':>7}" if layout.usual else ""
    came = f"{'':{7 + layout.stage}}{'In/s':>8}"
    return line((f"{came}{'':{bar}}{'Lost/s':>8}{usual}{'Total':>8}  By", "header"))


def _bar(stage: Stage, most: float, room: int, mark: str, *, ascii: bool) -> list[Span]:
    """Draw what comes to a stage, and at its end the part that is lost there."""
    came = (stage.came.per_s or 0) if stage.came is not None else 0
    if not room or not came or not most:
        return []
    lost = min((stage.lost.per_s or 0) if stage.lost is not None else 0, came)
    full, shaded = ("#", ":") if ascii else ("█", "▒")
    cells = max(round(came / most * room), 1)
    gone = min(max(round(lost / most * room), 1 if 100 * lost >= came else 0), cells)
    spans = [(full * (cells - gone), "graph1"), (shaded * gone, _ROLES.get(mark, "graph1"))]
    return [span for span in spans if span[0]]


def _complete(path: Path, width: int) -> list[Line]:
    """Return every number of every stage: totals, segments, and what is freed after normal use."""
    wire = any(s.segments not in (None, s.came) for s in path.stages)
    segments = f"{'segments':>9}" if wire else ""
    head = f"{'':17}{'in/s':>8}{'lost/s':>8}{'in':>9}{segments}{'lost':>8}{'ordinary':>9}  by"
    room = max(width - len(head) + 2, 8)
    known = [s.ordinary for s in path.stages if s.ordinary is not None]
    every = Stage("all", None, path.lost, ordinary=sum_of(known) if known else None)
    rows = [(stage, path.mark(stage.name)) for stage in path.stages]
    return [
        line((head, "header")),
        *(
            _every_number(stage, mark, room, wire=wire)
            for stage, mark in [*rows, (every, path.worst)]
        ),
    ]


def _every_number(stage: Stage, mark: str, room: int, *, wire: bool) -> Line:
    lost, came = stage.lost or Flow(0, None), stage.came or Flow(0, None)
    role = mark if lost.per_s else "" if lost.total else "muted"
    known = stage.came is not None
    ordinary = stage.ordinary.total if stage.ordinary else None
    numbers: Sequence[Span] = (
        (f"{units.count(came.per_s) if known else '':>8}", ""),
        (f"{units.count(lost.per_s):>8}", role),
        (f"{units.count(came.total) if known else '':>9}", "muted"),
        (_total(stage.segments, 9) if wire else "", "muted"),
        (f"{units.count(lost.total if stage.lost else None):>8}", role or "muted"),
        (f"{units.count(ordinary):>9}", "muted"),
    )
    return line(
        (f" {SIGNS[mark]} ", mark),
        fit(_TITLES.get(stage.name, stage.name), 14),
        *numbers,
        "  ",
        (fit(label(stage.why), room).rstrip(), role or "muted"),
    )


def _total(flow: Flow | None, room: int) -> str:
    return f"{units.count(flow.total) if flow is not None else '':>{room}}"
