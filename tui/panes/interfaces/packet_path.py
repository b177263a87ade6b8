"""The packet path of an interface: what reaches each stage, what is lost there, when and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from probes import units
from probes.analysis.cases.at_interfaces import at_interfaces
from probes.analysis.cases.claim import Claim
from probes.analysis.flows import Flow, sum_of
from probes.analysis.funnel import Stage, funnel
from probes.analysis.hit_rates import by_stage
from tui.panes.interfaces.every_number import TITLES, every_number
from tui.panes.interfaces.path_graphs import lost_and_in, lost_usual, usual_at_stages
from tui.panes.interfaces.path_reasons import here
from tui.panes.interfaces.stage_history import Columns, all_stages, stage_history
from tui.panes.interfaces.stage_spark import LEAST, WIDEST, stage_spark, stage_spark_head
from tui.session.view import View
from tui.table.fields import SIGNS, TableRow, label
from tui.table.lines import BLANK, Line, Span, fit, line, width_of
from tui.table.many_records import MARKS
from tui.toolkit.history_line import PARTS, SECONDS

_BRIEF = {"tc-ingress": "TC", "tc-egress": "TC"}
_WAYS = {"nic": "in", "tc-egress": "out"}
"""The stages at which a packet's way begins."""
_HOOKS = (
    "interfaces", "drops", "qdiscs", "xdp", "xdp-programs", "xdp-errors", "tc-ingress",
    "tc-egress", "tc-programs",
)  # fmt: skip
_WIDE, _WIDEST_BAR, _LEAST_BAR = 100, 36, 8
_SPARK_SHARE = 0.4
"""The share that a history has of the cells that it and the bar have."""
_ROLES = {"bad": "graph3", "warn": "graph2"}


class _PathColumns(NamedTuple):
    """The widths that fit. bar, spark: 0: none. usual: whether that is a column."""

    stage: int
    bar: int
    spark: int
    usual: bool
    by: int


def packet_path(view: View, record: TableRow, width: int) -> list[Line]:
    """Draw the path, and what is lost and comes over time."""
    name = record.name
    found = Path.of(view, name)
    table = found.every_number(record, width) if view.unfolded else found.table(record, width)
    return [*table, BLANK, *lost_and_in(view, record, found.lost.per_s, width)]


def claims_at(view: View, interface: str) -> Sequence[Claim]:
    """Return what is wrong there and not our own doing, the worst first."""
    return [claim for claim in at_interfaces(view).get(interface, ()) if not claim.own]


class Path:
    """The stages of an interface, with what is claimed and known of each."""

    def __init__(self, view: View, interface: str, stages: Sequence[Stage]) -> None:
        self.stages = stages
        self.lost = sum_of(s.lost for s in stages if s.lost is not None)
        self.ascii, self._view, self._reasons = view.ascii, view, here(view, interface)
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

    def past(self, record: TableRow) -> Mapping[str, Columns]:
        """Return what was lost at each stage in the last two minutes."""
        return stage_history(self._view, record, SECONDS, PARTS)

    def table(self, record: TableRow, width: int) -> list[Line]:
        """Return a line for each stage: a bar of what comes, and when packets were lost there."""
        layout = _layout(width)
        most = max([s.came.per_s or 0 for s in self.stages if s.came is not None], default=0)
        past = self.past(record) if layout.spark else {}
        every = Stage("all", None, self.lost)
        return [
            _head(layout),
            *(self._stage(stage, layout, most, past.get(stage.name, ())) for stage in self.stages),
            self._line(every, layout, (), all_stages(past), self.worst, self._usual, ""),
        ]

    def every_number(self, record: TableRow, width: int) -> list[Line]:
        """Return a line for each stage with every number of it."""
        known = [s.ordinary for s in self.stages if s.ordinary is not None]
        every = Stage("all", None, self.lost, ordinary=sum_of(known) if known else None)
        rows = [*((stage, self.mark(stage.name)) for stage in self.stages), (every, self.worst)]
        return every_number(rows, lambda: self.past(record), width, ascii=self.ascii)

    def _stage(self, stage: Stage, layout: _PathColumns, most: float, past: Columns) -> Line:
        mark = self.mark(stage.name)
        claimed = [c.usual for c in self._claims.get(stage.name, ()) if c.usual is not None]
        bar = _bar(stage, most, layout.bar, mark, ascii=self.ascii)
        usual = sum(claimed) if claimed else self._usual_at.get(stage.name)
        past = past if stage.lost is not None else ()
        return self._line(stage, layout, bar, past, mark, usual, self._by(stage, layout.by))

    def _line(
        self, stage: Stage, layout: _PathColumns, bar: Sequence[Span], past: Columns, mark: str,
        usual: float | None, by: str,
    ) -> Line:  # fmt: skip
        lost = stage.lost or Flow(0, None)
        known = stage.came is not None
        came = units.count(stage.came.per_s) if stage.came is not None else units.DASH
        role = mark if lost.per_s else "" if lost.total else "muted"
        title = _BRIEF.get(stage.name, "") if layout.stage < 10 else ""
        spans: list[Span] = [
            (f" {SIGNS[mark]} ", mark), (f"{_WAYS.get(stage.name, ''):4}", "muted"),
            (fit(title or TITLES.get(stage.name, stage.name), layout.stage), mark),
            (f"{came if stage.name != 'all' else '':>8}", "" if known else "muted"),
        ]  # fmt: skip
        if layout.bar:
            left = layout.bar - sum(len(text) for text, _ in bar)
            spans += [(" ", ""), *bar, (" " * left, "")]
        spans.append((f"{units.count(lost.per_s):>8}", role))
        if layout.spark:
            spans += stage_spark(past, layout.spark, mark, ascii=self.ascii)
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
    bar, spark = _drawn_widths(width - (84 if wide else 56))
    taken = 3 + 4 + stage + 8 + (bar + 1 if bar else 0) + 8 + (spark + 1 if spark else 0)
    taken += (7 if wide else 0) + 8 + 2
    return _PathColumns(stage, bar, spark, wide, max(width - taken, 8))


def _drawn_widths(room: int) -> tuple[int, int]:
    """Return the cells of bars and of histories; the bar comes first where both do not fit."""
    spark = min(max(round(room * _SPARK_SHARE), LEAST), WIDEST)
    if room - spark - 1 < _LEAST_BAR:
        spark = 0
    bar = min(room - (spark + 1 if spark else 0), _WIDEST_BAR)
    return (bar if bar >= _LEAST_BAR else 0), spark


def _head(layout: _PathColumns) -> Line:
    bar = layout.bar + 1 if layout.bar else 0
    spark = stage_spark_head(layout.spark)
    usual = f"{'Usual':>7}" if layout.usual else ""
    came = f"{'':{7 + layout.stage}}{'In/s':>8}"
    return line((f"{came}{'':{bar}}{'Lost/s':>8}{spark}{usual}{'Total':>8}  By", "header"))


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
