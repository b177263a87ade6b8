"""Totals that go on: what was counted before a rung took over, and what both of them saw."""

from __future__ import annotations

from dataclasses import replace

import pytest

from probes.analysis.funnel import remember
from probes.analysis.heat import SLOT_SECONDS, Heat
from probes.analysis.snapshot import Trail
from probes.ladder import carried
from probes.ladder.carried import CarriedTotals
from probes.model import SERIES, Column, Hook, HookId, Kind, Sample, State, Status, same_totals
from probes.units import Unit
from tui.prometheus.totals import Shape, Totals

HOOK = Hook(
    name="calls",
    title="Calls",
    question="",
    columns=(
        Column("name", "Name", kind=Kind.KEY),
        Column("calls", "Calls", Unit.COUNT, Kind.COUNTER),
        Column("took", "Took", Unit.NS, Kind.HISTOGRAM),
        Column("pending", "Pending", Unit.COUNT),
        Column("error", "Error"),
        Column("mean", "Mean", Unit.COUNT, Kind.DERIVED, derive=lambda window: window["calls"]),
    ),
    ladder=(),
)


def _counted(lost: int = 0, **calls: int) -> CarriedTotals:
    rows = {(name,): (name, n, (n, 0), 1, "-") for name, n in calls.items()}
    return CarriedTotals(rows, lost)


def _calls(counted: CarriedTotals) -> dict[object, object]:
    return {name: row[1] for (name,), row in counted.rows.items()}


def test_what_two_rungs_counted_side_by_side_is_counted_once() -> None:
    past, first = _counted(7, a=100, b=5), _counted(2, a=10, c=1)
    base = carried.base(HOOK, past, first)
    now = carried.total(HOOK, base, _counted(3, a=15, c=1))
    assert _calls(now) == {"a": 105, "b": 5, "c": 1}
    assert now.rows[("a",)][2] == (105, 0)
    assert now.lost == 8


def test_a_row_that_is_only_past_has_no_level() -> None:
    base = carried.base(HOOK, _counted(a=1, idle=0), CarriedTotals())
    assert carried.total(HOOK, base, CarriedTotals()).rows == {("a",): ("a", 1, (1, 0), None, "-")}


def test_rows_of_what_has_gone_are_gone() -> None:
    hook = replace(HOOK, rows_go=True)
    base = carried.base(hook, _counted(a=1, b=2), CarriedTotals())
    assert _calls(carried.total(hook, base, _counted(b=3))) == {"b": 5}
    assert _calls(carried.ended(hook, _counted(a=1), _counted(b=1))) == {"b": 1}


def test_a_map_that_was_emptied_meanwhile_loses_nothing() -> None:
    ended = carried.ended(HOOK, _counted(a=50, b=2, c=1), _counted(a=3, b=4))
    assert _calls(ended) == {"a": 53, "b": 4, "c": 1}


@pytest.mark.parametrize(
    ("before", "now", "goes_on"),
    [
        (3 * SERIES, 3 * SERIES + 1, True),
        (3 * SERIES + 1, 4 * SERIES, False),
        (5, 5, True),
        (5, 6, False),  # of a recording from before totals went on
        ((1 << 32) + 5, (1 << 32) + 6, False),  # of such a host
        ((1 << 32) + SERIES, (1 << 32) + SERIES + 1, True),
        ((1 << 32) + SERIES, (2 << 32) + SERIES, False),
    ],
)
def test_epochs_say_whether_totals_go_on(before: int, now: int, goes_on: bool) -> None:
    assert same_totals(before, now) is goes_on


def _sample(time: float, calls: int, epoch: int, rung: str = "best") -> Sample:
    status = Status(HookId("calls"), State.ATTACHED, rung)
    return Sample(status, time, time, epoch, _counted(calls, a=calls).rows, lost=calls)


def test_rates_windows_and_exports_go_on_where_the_same_rung_was_attached_again() -> None:
    trail, totals, heat = Trail(HOOK), Totals(Shape(HOOK), 5), Heat()
    since: dict[HookId, Sample] = {}
    went_on = [
        _sample(0, 1000, SERIES),
        _sample(2 * SLOT_SECONDS, 1100, SERIES),
        _sample(4 * SLOT_SECONDS, 1300, SERIES + 1),
        _sample(6 * SLOT_SECONDS, 1350, SERIES + 1),
    ]
    for sample in went_on:
        snapshot = trail.snapshot(sample)
        totals.take(sample)
        heat.add([snapshot])
        remember(since, [sample])
        if sample.time == 4 * SLOT_SECONDS:
            assert snapshot.rows[0].rates["calls"] == 200 / (2 * SLOT_SECONDS)
    assert snapshot.rows[0]["mean"] == 50
    assert totals.rows[("a",)].grown == [1350, (1350, 0)]
    assert totals.lost == 1350
    assert since[HookId("calls")] is went_on[0]
    slots = heat.of(HookId("calls"), "took", ("a",), 6 * SLOT_SECONDS)
    assert sum(sum(slot.hits.values()) for slot in slots) == 350


def test_no_rate_is_made_from_one_rung_to_another() -> None:
    trail = Trail(HOOK)
    trail.snapshot(_sample(0, 1000, SERIES))
    snapshot = trail.snapshot(_sample(1, 1001, SERIES + 1, "worse"))
    assert snapshot.rows[0].rates == {"calls": None}
