"""A paint makes as many Python calls for 4,000 rows as for 1,000, in each pane with columns.

What is unusual now, here as much of either, is looked at one by one.
"""

from __future__ import annotations

from collections import Counter

import pytest

from probes.hooks import catalogue
from probes.units import Unit
from tests.support.calls_made import calls_of
from tests.support.many_views import TwoViews, all_panes
from tui.panes.overview import pane as overview
from tui.table.filters import parse
from tui.table.order import in_order, index_of, worst_of

PANES = (
    ("rtt", "tcp-rtt", None),
    ("connects", "tcp-connect", None),
    ("programs", "programs", None),
    ("sources", "sources", "eth1"),
    ("interfaces", "drops", None),
    ("own", "sent", None),
    ("own", "opens", None),
)
HEIGHT = 40


def _paint(name: str, views: TwoViews) -> None:
    """Do what the screen does: sort, filter, and show what fits; say what is wrong."""
    pane, view = all_panes()[name], views.columns
    fields = pane.fields(catalogue())
    by = next(field for field in fields if field.name == pane.sort)
    word = next(field.name for field in fields if field.unit is Unit.TEXT and field.write is None)
    for text in ("", f"{word}:1"):
        rows = in_order(pane.records(view), by, reverse=pane.reverse, keep=parse(text, fields))
        if rows:
            assert index_of(rows, rows[worst_of(rows)].key) is not None
        for row in rows[:HEIGHT]:
            for field in fields:
                field.cell(row, field.width, False)
    pane.trouble(view)
    if pane.summary is not None:
        pane.summary(view)
    overview.PANE.records(view)
    overview.PANE.trouble(view)


def _per_paint(name: str, hook: str, target: str | None, rows: int) -> Counter[str]:
    views, found = (
        TwoViews(catalogue()[hook], rows, 1, target, alone=True, wrong=30),
        Counter[str](),
    )
    for _ in range(4):
        views.tick()
        found = calls_of(lambda: _paint(name, views))
    return found


@pytest.mark.parametrize(("name", "hook", "target"), PANES, ids=lambda made: made or "")
def test_a_paint_makes_as_many_calls_for_more_rows(
    name: str, hook: str, target: str | None
) -> None:
    few, many = (_per_paint(name, hook, target, rows) for rows in (1000, 4000))
    more = {function: n for function, n in many.items() if n - few[function] > 200}
    assert not more
