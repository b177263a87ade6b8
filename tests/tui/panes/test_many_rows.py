"""Panes show the same of many rows, whether these are columns or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from probes.analysis import snapshot
from probes.hooks import catalogue
from tests.support.many_views import TwoViews, all_panes
from tui.table.fields import TableRow
from tui.table.filters import parse
from tui.table.many_records import ManyRecords, Ordered, with_key
from tui.table.order import in_order, index_of, worst_of

PANES = (("rtt", "tcp-rtt", None), ("connects", "tcp-connect", None))
FILTERS = (
    "nginx", "!nginx", "NGINX2", "10.0", "10.0.1.1", "comm:ngin", "comm=nginx", "comm!=nginx",
    '"a > b"', '"> 10.0.0"', '"b > fe80"', "fe80::1", "pid>9000", "pid<=9000", "port:443",
    "rport>1000", "1.", "-", "ms", "us", "kb", "z", "12", "unusual:since", "usual", "new",
    "srtt>5ms", "srtt<1ms", "srtt=-", "srtt!=-", "p99>50us", "retr>1", "retr:-", "mean>1ms",
    "fail>0", "share>1%", "!share>1%", "x 1", "word1 2", "packets>1", "dest:10",
)  # fmt: skip


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "FEW", 64)


@pytest.fixture(params=PANES, ids=lambda made: made[0])
def made(request: Any) -> tuple[Any, TwoViews]:
    name, hook, target = request.param
    views = TwoViews(catalogue()[hook], 300, 1, target)
    for _ in range(20):
        views.tick()
    return all_panes()[name], views


def _plain(records: Sequence[TableRow]) -> list[object]:
    return [(r.key, r.name, dict(r.values), r.mark) for r in records]


def test_records_are_made_where_they_are_asked_for(made: tuple[Any, TwoViews]) -> None:
    pane, views = made
    many = pane.records(views.columns)
    assert isinstance(many, ManyRecords)
    assert _plain(many) == _plain(pane.records(views.rows))


def test_they_are_sorted_by_every_column_as_objects_are(made: tuple[Any, TwoViews]) -> None:
    pane, views = made
    for _ in range(3):
        many, few = pane.records(views.columns), pane.records(views.rows)
        for field in pane.fields(catalogue()):
            for reverse in (False, True):
                rows, wanted = (in_order(r, field, reverse=reverse) for r in (many, few))
                assert [r.key for r in rows] == [r.key for r in wanted], (field.name, reverse)
                assert worst_of(rows) == worst_of(wanted)
                for place in (0, 7, len(rows) - 1):
                    assert index_of(rows, wanted[place].key) == place
        views.tick()


def test_they_are_filtered_as_objects_are(made: tuple[Any, TwoViews]) -> None:
    pane, views = made
    fields = pane.fields(catalogue())
    field = next(f for f in fields if f.name == pane.sort)
    many, few = pane.records(views.columns), pane.records(views.rows)
    kept = set()
    for text in FILTERS:
        try:
            keep = parse(text, fields)
        except ValueError:
            continue
        rows, wanted = (in_order(r, field, reverse=True, keep=keep) for r in (many, few))
        assert isinstance(rows, Ordered)
        assert [r.key for r in rows] == [r.key for r in wanted], text
        kept.add(len(rows))
    assert len(kept) > 5


def test_one_is_found_by_its_key(made: tuple[Any, TwoViews]) -> None:
    pane, views = made
    many, few = pane.records(views.columns), pane.records(views.rows)
    for record in few[::50]:
        assert _plain([with_key(many, record.key)]) == _plain([record])  # type: ignore[list-item]
    assert with_key(many, ("gone",)) is None


def test_what_is_wrong_is_said_in_the_same_words(made: tuple[Any, TwoViews]) -> None:
    pane, views = made
    for _ in range(3):
        both = (views.columns, views.rows)
        assert pane.trouble(views.columns) == pane.trouble(views.rows)
        if pane.worst is not None:
            found, wanted = (
                [(*_plain([f.record]), *f[1:]) for f in pane.worst(view, 8)] for view in both
            )
            assert found == wanted
        if pane.summary is not None:
            assert pane.summary(views.columns) == pane.summary(views.rows)
        views.tick()
