"""Panes show the same of many rows, whether these are columns or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from probes.analysis import snapshot
from probes.hooks import catalogue
from tests.support.many_views import TwoViews, all_panes
from tui.panes import custom, programs, sources
from tui.panes.interfaces import pane as interfaces
from tui.table.fields import TableRow
from tui.table.filters import parse
from tui.table.many_records import ManyRecords, Ordered, with_key
from tui.table.order import in_order, index_of, worst_of

PANES = (
    ("rtt", "tcp-rtt", None),
    ("connects", "tcp-connect", None),
    ("programs", "programs", None),
    ("interfaces", "interfaces", None),
    ("sources", "sources", "eth1"),
    ("own", "sent", None),
    ("own", "opens", None),
)
MODULES = (programs, interfaces, sources, custom)
FILTERS = (
    "nginx", "!nginx", "NGINX2", "10.0", "10.0.1.1", "comm:ngin", "comm=nginx", "comm!=nginx",
    '"a > b"', '"> 10.0.0"', '"b > fe80"', "fe80::1", "pid>9000", "pid<=9000", "port:443",
    "rport>1000", "1.", "-", "ms", "us", "kb", "z", "12", "unusual:since", "usual", "new",
    "srtt>5ms", "srtt<1ms", "srtt=-", "srtt!=-", "p99>50us", "retr>1", "retr:-", "mean>1ms",
    "fail>0", "share>1%", "!share>1%", "x 1", "word1 2", "packets>1", "dest:10",
)  # fmt: skip


class Case:
    """A pane with many rows, as columns and as objects."""

    def __init__(self, name: str, hook: str, target: str | None) -> None:
        self.pane, self.views = all_panes()[name], TwoViews(catalogue()[hook], 300, 1, target)
        self.fields = self.pane.fields(catalogue())
        for _ in range(20):
            self.views.tick()

    def records(self) -> tuple[Sequence[TableRow], Sequence[TableRow]]:
        """Return those of columns, and the others."""
        many = self.pane.records(self.views.columns)
        with pytest.MonkeyPatch.context() as patch:
            for module in MODULES:
                patch.setattr(module, "FEW", 10_000)
            few = self.pane.records(self.views.rows)
        assert isinstance(many, ManyRecords)
        assert not isinstance(few, ManyRecords)
        return many, few


@pytest.fixture(params=PANES, ids=lambda case: f"{case[0]}-{case[1]}", scope="module")
def case(request: Any) -> Iterator[Case]:
    """One for all tests of a pane, which compare; they may let time go on."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (snapshot, *MODULES):
            patch.setattr(module, "FEW", 64)
        patch.setattr(sources, "SHOWN", 200)
        yield Case(*request.param)


def _plain(records: Sequence[TableRow]) -> list[object]:
    return [(r.key, r.name, dict(r.values), r.mark) for r in records]


def test_records_are_made_where_they_are_asked_for(case: Case) -> None:
    many, few = case.records()
    assert _plain(many) == _plain(few)
    assert case.pane.name == "sources" or any(record.mark for record in few)


def test_they_are_sorted_by_every_column_as_objects_are(case: Case) -> None:
    for _ in range(3):
        many, few = case.records()
        for field in case.fields:
            for reverse in (False, True):
                rows, wanted = (in_order(r, field, reverse=reverse) for r in (many, few))
                assert [r.key for r in rows] == [r.key for r in wanted], (field.name, reverse)
                assert worst_of(rows) == worst_of(wanted)
                for place in (0, 7, len(rows) - 1):
                    assert index_of(rows, wanted[place].key) == place
        case.views.tick()


def test_they_are_filtered_as_objects_are(case: Case) -> None:
    field = next(f for f in case.fields if f.name == case.pane.sort)
    many, few = case.records()
    kept = set()
    for text in FILTERS:
        try:
            keep = parse(text, case.fields)
        except ValueError:
            continue
        rows, wanted = (in_order(r, field, reverse=True, keep=keep) for r in (many, few))
        assert isinstance(rows, Ordered)
        assert [r.key for r in rows] == [r.key for r in wanted], text
        kept.add(len(rows))
    assert len(kept) > 5


def test_one_is_found_by_its_key(case: Case) -> None:
    many, few = case.records()
    for record in few[::50]:
        found = with_key(many, record.key)
        assert found is not None
        assert _plain([found]) == _plain([record])
    assert with_key(many, ("gone",)) is None


def test_what_is_wrong_is_said_in_the_same_words(case: Case) -> None:
    pane, views = case.pane, case.views
    for _ in range(3):
        both = (views.columns, views.rows)
        assert pane.trouble(views.columns) == pane.trouble(views.rows)
        if pane.busiest is not None:
            found, wanted = (
                one and (*_plain([one.record]), *one[1:]) for one in map(pane.busiest, both)
            )
            assert found == wanted
        if pane.summary is not None:
            assert pane.summary(views.columns) == pane.summary(views.rows)
        views.tick()


def test_a_detail_says_the_same(case: Case) -> None:
    for many, few in zip(*(records[::60] for records in case.records()), strict=True):
        views = case.views
        assert case.pane.detail(views.columns, many, 120) == case.pane.detail(views.rows, few, 120)
