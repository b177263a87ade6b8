"""The packet path with every number of each stage, for who wants to know all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from probes import units
from probes.analysis.flows import Flow
from probes.analysis.funnel import Stage
from tui.panes.interfaces.stage_history import Columns, all_stages
from tui.panes.interfaces.stage_spark import LEAST, WIDEST, stage_spark, stage_spark_head
from tui.table.fields import SIGNS, label
from tui.table.lines import Line, Span, fit, line

TITLES = {"nic": "NIC", "xdp": "XDP", "tc-ingress": "TC ingress", "tc-egress": "TC egress"}
"""Stage -> its name on the screen, where that is another one."""
_LEAST_BY = 24
"""Cells for by what most is lost, before there is a history."""


def every_number(
    rows: Sequence[tuple[Stage, str]],
    past: Callable[[], Mapping[str, Columns]],
    width: int,
    *,
    ascii: bool,
) -> list[Line]:
    """Return a line for each stage: totals, segments, and what is freed after normal use.

    rows: stages with their marks, the sum last. past: what was lost at each, asked for if there is
    space for it.
    """
    wire = any(stage.segments not in (None, stage.came) for stage, _ in rows)
    segments = f"{'segments':>9}" if wire else ""
    before = f"{'':17}{'in/s':>8}{'lost/s':>8}"
    after = f"{'in':>9}{segments}{'lost':>8}{'ordinary':>9}  by"
    room = width - len(before) - len(after) + 2
    spark = min(room - _LEAST_BY - 1, WIDEST)
    spark = spark if spark >= LEAST else 0
    columns = _Columns(spark, max(room - (spark + 1 if spark else 0), 8), wire, ascii)
    known = past() if spark else {}
    known = {**known, "all": all_stages(known)}
    head = f"{before}{stage_spark_head(spark)}{after}"
    lines = [columns.line(stage, mark, known.get(stage.name, ())) for stage, mark in rows]
    return [line((head, "header")), *lines]


class _Columns(NamedTuple):
    """The widths that fit. spark: 0: none. wire: whether segments are a column."""

    spark: int
    by: int
    wire: bool
    ascii: bool

    def line(self, stage: Stage, mark: str, past: Columns) -> Line:
        lost = stage.lost or Flow(0, None)
        role = mark if lost.per_s else "" if lost.total else "muted"
        history = stage_spark(past, self.spark, mark, ascii=self.ascii) if self.spark else ()
        return line(
            (f" {SIGNS[mark]} ", mark),
            fit(TITLES.get(stage.name, stage.name), 14),
            (f"{units.count(stage.came.per_s) if stage.came is not None else '':>8}", ""),
            (f"{units.count(lost.per_s):>8}", role),
            *history,
            *self._totals(stage, role),
            "  ",
            (fit(label(stage.why), self.by).rstrip(), role or "muted"),
        )

    def _totals(self, stage: Stage, role: str) -> Sequence[Span]:
        """Return the numbers since counting began."""
        return (
            (_total(stage.came, 9), "muted"),
            (_total(stage.segments, 9) if self.wire else "", "muted"),
            (f"{units.count(stage.lost.total if stage.lost else None):>8}", role or "muted"),
            (f"{units.count(stage.ordinary.total if stage.ordinary else None):>9}", "muted"),
        )


def _total(flow: Flow | None, room: int) -> str:
    return f"{units.count(flow.total) if flow is not None else '':>{room}}"
