"""Counters for export: what is exported only grows, of a bounded number of rows."""

from __future__ import annotations

import random
from collections.abc import Mapping

from probes.model import Column, Hook, HookId, Kind, Sample, State, Status
from probes.units import Unit
from tui.prometheus.totals import OTHER, STAY, Shape, Totals

HOOK = Hook(
    name="drops",
    title="Drops",
    answers="",
    columns=(
        Column("pid", "Pid", Unit.NUMBER, Kind.KEY, label=False),
        Column("reason", "Reason", kind=Kind.KEY),
        Column("packets", "Packets", Unit.PACKETS, Kind.COUNTER),
        Column("latency", "Latency", Unit.NS, Kind.HISTOGRAM, hidden=True),
        Column("queued", "Queued", Unit.PACKETS),
        Column("srtt_us", "SRTT", Unit.US),
        Column("state", "State"),
    ),
    ladder=(),
)
SHAPE = Shape(HOOK)
Counts = Mapping[tuple[int, str], int | None]


def _sample(time: float, counts: Counts, *, epoch: int = 1, from_zero: bool = True) -> Sample:
    rows = {
        (pid, reason): (pid, reason, n, (n or 0, 0), pid, pid * 10, f"s{pid}")
        for (pid, reason), n in counts.items()
    }
    status = Status(HookId("drops"), State.ATTACHED, "best")
    return Sample(status, time, time, epoch, rows, from_zero=from_zero)


def _packets(totals: Totals) -> dict[str, object]:
    return {labels[0]: place.grown[0] for labels, place in totals.rows.items()}


def test_labels_are_keys_that_mean_something_later_and_named_levels() -> None:
    """A pid is no label; what else is known of a row is in its words."""
    assert SHAPE.labels == ("reason",)
    assert [c.name for _, c in SHAPE.sums] == ["packets", "latency"]
    assert [c.name for _, c in SHAPE.levels] == ["queued", "srtt_us"]
    assert [c.name for _, c in SHAPE.words] == ["state"]


def test_rows_with_the_same_labels_are_one() -> None:
    """Counts, histograms and levels add up; of times it is the greatest."""
    totals = Totals(SHAPE, 5)
    totals.take(_sample(0, {(1, "a"): 7, (2, "a"): 5, (3, "b"): 1}))
    place = totals.rows[("a",)]
    assert place.grown == [12, (12, 0)]
    assert place.levels == [3, 20]
    assert not totals.full


def test_what_is_exported_at_first_is_what_the_kernel_counted() -> None:
    """Also what was counted before this program looked on: the same numbers as everywhere."""
    totals = Totals(SHAPE, 5)
    totals.take(_sample(0, {(1, "a"): 1000}, from_zero=False))
    totals.take(_sample(1, {(1, "a"): 1003}, from_zero=False))
    assert _packets(totals) == {"a": 1003}


def test_a_process_that_goes_takes_nothing_with_it() -> None:
    """Its row is gone; what it counted stays, and the next one's is added."""
    totals = Totals(SHAPE, 5)
    totals.take(_sample(0, {(1, "a"): 10}))
    totals.take(_sample(1, {}))
    assert _packets(totals) == {"a": 10}
    assert totals.rows[("a",)].levels == []
    totals.take(_sample(2, {(2, "a"): 4}))
    assert _packets(totals) == {"a": 14}


def test_a_counter_that_began_anew_goes_on_from_where_it_was() -> None:
    """By itself, or as another rung counts now; what that one had counted before is no news."""
    totals = Totals(SHAPE, 5)
    totals.take(_sample(0, {(1, "a"): 10}))
    totals.take(_sample(1, {(1, "a"): 3}))
    assert _packets(totals) == {"a": 13}
    totals.take(_sample(2, {(1, "a"): 50_000}, epoch=2, from_zero=False))
    assert _packets(totals) == {"a": 13}
    totals.take(_sample(3, {(1, "a"): 50_002}, epoch=2, from_zero=False))
    assert _packets(totals) == {"a": 15}
    totals.take(_sample(4, {(1, "a"): 6}, epoch=3))
    assert _packets(totals) == {"a": 21}


def test_what_is_never_known_is_not_exported_as_zero() -> None:
    totals = Totals(SHAPE, 5)
    totals.take(_sample(0, {(1, "a"): None}))
    assert _packets(totals) == {"a": None}
    totals.take(_sample(1, {(1, "a"): 2}))
    assert _packets(totals) == {"a": 2}


def test_a_reading_that_failed_is_not_counted_twice() -> None:
    """The attachment gives the sample before once more."""
    totals = Totals(SHAPE, 5)
    first = _sample(0, {(1, "a"): 10})
    totals.take(first)
    totals.take(first)
    totals.take(_sample(1, {(1, "a"): 11}))
    assert _packets(totals) == {"a": 11}


def test_the_busiest_have_a_place_and_the_rest_is_one() -> None:
    totals = Totals(SHAPE, 2)
    totals.take(_sample(0, {(1, "a"): 1, (2, "b"): 20, (3, "c"): 30, (4, "d"): 4}))
    assert _packets(totals) == {"b": 20, "c": 30}
    assert totals.full
    assert totals.rest.grown == [5, (5, 0)]
    assert totals.rest_labels == (OTHER,)


def test_who_gets_busy_has_to_wait_for_a_place_and_then_counts_from_there() -> None:
    """Neither its own count nor the rest goes back, and nothing is in both."""
    totals = Totals(SHAPE, 2)
    calm = {(1, "a"): 10, (2, "b"): 20}
    totals.take(_sample(0, {**calm, (3, "c"): 5}))
    totals.take(_sample(1, {**calm, (3, "c"): 500}))
    assert _packets(totals) == {"a": 10, "b": 20}
    assert totals.rest.grown[0] == 500
    totals.take(_sample(STAY + 2, {**calm, (3, "c"): 900}))
    assert "c" in _packets(totals)
    assert _packets(totals)["c"] == 400, "what came since"
    assert totals.rest.grown[0] == 500
    assert len(totals.rows) == 2


def test_a_row_that_is_gone_keeps_its_place_until_it_has_been_scraped_for_long() -> None:
    totals = Totals(SHAPE, 2)
    totals.take(_sample(0, {(1, "a"): 10}))
    totals.take(_sample(STAY - 1, {}))
    assert _packets(totals) == {"a": 10}
    totals.take(_sample(STAY + 1, {}))
    assert _packets(totals) == {}


def test_a_name_that_is_other_is_counted_with_the_rest() -> None:
    """A process may be called anything: two series with the same labels would spoil the scrape."""
    totals = Totals(SHAPE, 2)
    totals.take(_sample(0, {(1, OTHER): 10, (2, "b"): 1}))
    assert _packets(totals) == {"b": 1}
    assert totals.full
    assert totals.rest.grown[0] == 10


def test_whatever_comes_and_goes_nothing_goes_back_and_nothing_is_lost() -> None:
    """500 readings of rows that come, go, burst and begin anew: all that was counted is in the
    places there are, those that were given up, and the rest."""
    chance = random.Random(5)
    totals, counts = Totals(SHAPE, 4), dict[tuple[int, str], int]()
    truth, given_up, before, rest = 0, 0, dict[str, int](), 0
    for reading in range(500):
        for pid in range(12):
            key = (pid, f"r{pid}")
            if chance.random() < 0.1:
                counts.pop(key, None)
            elif key in counts or chance.random() < 0.3:
                more = chance.choice((0, 1, 1, 3, 900 * (reading % 12 == pid)))
                counts[key] = counts.get(key, 0) + more
                truth += more
        totals.take(_sample(reading * 20.0, counts))
        now = {name: int(str(n)) for name, n in _packets(totals).items()}
        assert len(now) <= 4
        assert all(now[name] >= before[name] for name in now.keys() & before.keys())
        given_up += sum(n for name, n in before.items() if name not in now)
        new_rest = int(str(totals.rest.grown[0] or 0))
        assert new_rest >= rest
        before, rest = now, new_rest
        assert sum(now.values()) + rest + given_up == truth
    assert given_up, "it has been tried"
