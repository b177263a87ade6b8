"""Snapshots are made of samples, here and nowhere else: rates, windows, resets, cost."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from probes.analysis.snapshot import Snapshot, Trail
from probes.analysis.snapshot_row import SnapshotRow
from probes.model import OTHERS, Column, Cost, Hook, HookId, Key, Kind, Row, Sample, State, Status
from probes.toolkit.window import mean, quantile

ID = HookId("made-up")
HOOK = Hook(
    name="made-up",
    title="Made up",
    question="Nothing.",
    columns=(
        Column("name", "Name", kind=Kind.KEY),
        Column("level", "Level"),
        Column("calls", "Calls", kind=Kind.COUNTER),
        Column("total", "Total", kind=Kind.COUNTER, hidden=True),
        Column("times", "Times", kind=Kind.HISTOGRAM, hidden=True),
        Column("mean", "Mean", kind=Kind.DERIVED, derive=mean("total", "calls")),
        Column("p50", "p50", kind=Kind.DERIVED, derive=quantile("times", 0.5)),
    ),
    ladder=(),
)


def row(
    name: str = "a",
    calls: float | None = 0,
    total: int = 0,
    times: tuple[int, ...] = (0, 0, 0, 0),
    level: float | None = 1,
) -> Row:
    return name, level, calls, total, times


def sample(time: float, *rows: Row, **more: object) -> Sample:
    keyed: dict[Key, Row] = {(r[0],): r for r in rows}
    status = Status(ID, State.ATTACHED, "best")
    made = {"status": status, "time": time, "wall": 1e9 + time, "rows": keyed, **more}
    return Sample(**made)  # type: ignore[arg-type]


def only(snapshot: Snapshot) -> SnapshotRow:
    assert len(snapshot.rows) == 1
    return snapshot.rows[0]


# -- rates -----------------------------------------------------------------------------------


def test_a_rate_is_the_increase_per_second_since_the_sample_before() -> None:
    made = Snapshot.between(HOOK, sample(10, row(calls=5)), sample(12.5, row(calls=30)))
    assert made.interval == 2.5
    assert only(made).rates["calls"] == 10
    assert only(made)["calls"] == 30, "the value itself stays cumulative"


def test_only_counters_have_rates() -> None:
    made = Snapshot.between(HOOK, sample(0, row()), sample(1, row()))
    assert set(only(made).rates) == {"calls", "total"}


def test_the_first_sample_has_values_and_no_rates() -> None:
    made = Snapshot.between(HOOK, None, sample(1, row(calls=7, level=3)))
    assert made.interval is None
    assert only(made).rates["calls"] is None
    assert (only(made)["calls"], only(made)["level"]) == (7, 3)


@pytest.mark.parametrize("later", [10.0, 9.0])
def test_a_clock_that_does_not_advance_gives_no_rate(later: float) -> None:
    made = Snapshot.between(HOOK, sample(10, row(calls=5)), sample(later, row(calls=30)))
    assert made.interval is None
    assert only(made).rates["calls"] is None


def test_a_counter_that_went_back_has_no_rate_and_the_others_keep_theirs() -> None:
    before, now = row(calls=100, total=10), row(calls=3, total=30)
    made = only(Snapshot.between(HOOK, sample(0, before), sample(2, now)))
    assert made.rates == {"calls": None, "total": 10}


def test_a_new_row_that_begins_at_zero_has_all_of_its_count_as_increase() -> None:
    made = Snapshot.between(HOOK, sample(0), sample(2, row(calls=8)))
    assert only(made).rates["calls"] == 4


def test_a_new_row_whose_beginning_is_not_known_has_no_rate() -> None:
    made = Snapshot.between(HOOK, sample(0), sample(2, row(calls=8), from_zero=False))
    assert only(made).rates["calls"] is None


def test_a_row_that_is_gone_is_not_shown() -> None:
    made = Snapshot.between(HOOK, sample(0, row("a"), row("b")), sample(1, row("b")))
    assert [r.key for r in made.rows] == [("b",)]


@pytest.mark.parametrize("from_zero", [True, False])
def test_no_rate_is_made_across_a_change_of_epoch(from_zero: bool) -> None:
    """Another rung counts from another beginning, so the samples cannot be compared."""
    before = sample(0, row(calls=5), epoch=1, cost=Cost(1, 1))
    after = sample(1, row(calls=9), epoch=2, cost=Cost(5, 5), from_zero=from_zero)
    made = Snapshot.between(HOOK, before, after, before)
    assert made.interval is None
    assert only(made).rates["calls"] is None
    assert made.runs_per_s is None


@pytest.mark.parametrize(("before", "now"), [(None, 5), (5, None), (None, None)])
def test_an_unknown_counter_has_no_rate(before: float | None, now: float | None) -> None:
    """What a rung cannot count is None in its rows, and was not zero before."""
    was, here = sample(0, row(calls=before)), sample(1, row(calls=now), from_zero=False)
    assert only(Snapshot.between(HOOK, was, here)).rates["calls"] is None


def test_a_row_that_does_not_fit_the_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        Snapshot.between(HOOK, None, sample(0, ("a", 1, 2)))


def test_what_is_unknown_counts_as_zero_only_for_sums_and_sorting() -> None:
    made = only(Snapshot.between(HOOK, None, sample(0, row(calls=None, level=None))))
    assert made["calls"] is None
    assert (made.number("calls"), made.rate("calls"), made.number("name")) == (0, 0, 0)


# -- the window ------------------------------------------------------------------------------


def test_derived_columns_look_back_over_the_window() -> None:
    window = sample(0, row(calls=10, total=1000, times=(0, 10, 0, 0)))
    now = sample(10, row(calls=14, total=1200, times=(0, 10, 0, 4)))
    made = only(Snapshot.between(HOOK, window, now, window))
    assert made["mean"] == 50
    assert made["p50"] == 12, "half of the 4 that were added, all within 8..16"
    assert (made["calls"], made["times"]) == (14, (0, 10, 0, 4)), "stored values stay as they are"


def test_without_a_window_derived_columns_look_back_to_the_beginning() -> None:
    made = Snapshot.between(HOOK, sample(0, row(calls=10, total=90)), sample(1, row("a", 20, 100)))
    assert only(made)["mean"] == 5


def test_a_row_that_is_new_in_the_window_counts_whole() -> None:
    made = Snapshot.between(HOOK, sample(0), sample(1, row(calls=2, total=8)), sample(0))
    assert only(made)["mean"] == 4


def test_a_window_of_another_epoch_is_none() -> None:
    window = sample(0, row(calls=1, total=100), epoch=1)
    made = Snapshot.between(HOOK, None, sample(9, row(calls=2, total=104), epoch=2), window)
    assert only(made)["mean"] == 52


def test_a_histogram_that_went_back_starts_anew() -> None:
    window = sample(0, row(times=(0, 100, 0, 0)))
    made = Snapshot.between(HOOK, window, sample(9, row(times=(0, 0, 2, 0))), window)
    assert only(made)["p50"] == 6


def test_a_counter_that_went_back_starts_anew_in_the_window() -> None:
    window = sample(0, row(calls=100, total=100))
    made = Snapshot.between(HOOK, window, sample(9, row(calls=2, total=30)), window)
    assert only(made)["mean"] == 15


def test_nothing_in_the_window_derives_nothing() -> None:
    same = row(calls=10, total=90, times=(0, 3, 0, 0))
    made = only(Snapshot.between(HOOK, sample(9, same), sample(10, same), sample(0, same)))
    assert (made["mean"], made["p50"]) == (None, None)


# -- cost ------------------------------------------------------------------------------------


def test_cost_is_runs_and_time_in_the_interval() -> None:
    before, now = sample(0, cost=Cost(100, 10_000)), sample(2, cost=Cost(300, 70_000))
    made = Snapshot.between(HOOK, before, now)
    assert made.runs_per_s == 100
    assert made.ns_per_run == 300
    assert made.cpu_percent == pytest.approx(60_000 / 2e9 * 100)


def test_programs_that_did_not_run_cost_nothing_and_have_no_time_for_each_run() -> None:
    made = Snapshot.between(HOOK, sample(0, cost=Cost(5, 9)), sample(1, cost=Cost(5, 9)))
    assert (made.runs_per_s, made.ns_per_run, made.cpu_percent) == (0, None, 0)


@pytest.mark.parametrize(
    ("before", "now"), [(None, Cost(1, 1)), (Cost(1, 1), None), (Cost(9, 9), Cost(1, 1))]
)
def test_an_unknown_cost_stays_unknown(before: Cost | None, now: Cost | None) -> None:
    made = Snapshot.between(HOOK, sample(0, cost=before), sample(1, cost=now))
    assert (made.runs_per_s, made.ns_per_run, made.cpu_percent) == (None, None, None)


# -- the trail -------------------------------------------------------------------------------


def test_a_trail_makes_rates_from_the_sample_before() -> None:
    trail = Trail(HOOK)
    assert only(trail.snapshot(sample(0, row(calls=1)))).rates["calls"] is None
    assert only(trail.snapshot(sample(1, row(calls=4)))).rates["calls"] == 3
    assert only(trail.snapshot(sample(2, row(calls=5)))).rates["calls"] == 1


def _means(trail: Trail, totals: list[int]) -> list[object]:
    """Means of a trail that is fed one call a second whose cumulated time is as told."""
    made = [trail.snapshot(sample(t, row("a", t + 1, total))) for t, total in enumerate(totals)]
    return [only(s)["mean"] for s in made]


def test_a_trail_looks_back_to_the_beginning_until_its_window_is_full() -> None:
    assert _means(Trail(HOOK, window=3), [90, 90, 90]) == [90, 45, 30]


def test_a_trail_forgets_what_is_older_than_its_window() -> None:
    """A slow first call is in the mean for as long as the window, and not after."""
    assert _means(Trail(HOOK, window=3), [90, 91, 92, 93, 94, 95])[3:] == [1, 1, 1]


def test_ticks_that_are_longer_than_the_window_look_back_one_tick() -> None:
    trail = Trail(HOOK, window=1)
    for t in (0, 5, 10):
        made = trail.snapshot(sample(t, row("a", t + 1, 10 * t)))
    assert only(made)["mean"] == 10


def test_a_trail_begins_anew_with_another_epoch() -> None:
    trail = Trail(HOOK)
    trail.snapshot(sample(0, row(calls=1), epoch=1))
    made = trail.snapshot(sample(1, row(calls=4), epoch=2))
    assert made.interval is None
    assert only(trail.snapshot(sample(2, row(calls=6), epoch=2))).rates["calls"] == 2


def test_a_trail_keeps_targets_apart_and_forgets_when_told() -> None:
    trail = Trail(HOOK)
    one, other = (Status(HookId("made-up", t), State.ATTACHED, "best") for t in ("one", "other"))
    trail.snapshot(sample(0, row(calls=1), status=one))
    assert trail.snapshot(sample(1, row(calls=5), status=other)).interval is None
    assert only(trail.snapshot(sample(2, row(calls=5), status=one))).rates["calls"] == 2
    trail.forget(one.id)
    assert trail.snapshot(sample(3, row(calls=9), status=one)).interval is None
    assert trail.snapshot(sample(3, row(calls=9), status=other)).interval == 2
    trail.forget(HookId("never seen"))


def test_what_a_row_of_others_took_over_is_no_rate_of_its() -> None:
    before = sample(10, row(calls=10), row("b", calls=3))
    now = sample(12, row("b", calls=5), row(OTHERS, calls=14))
    rates = {r.key[0]: r.rates["calls"] for r in Snapshot.between(HOOK, before, now).rows}
    assert rates == {"b": 1, OTHERS: 2}


def test_a_row_that_had_been_left_out_has_no_rate() -> None:
    """It is not known what it had counted before."""
    before = sample(10, row("b", calls=3), forgotten=1)
    made = Snapshot.between(HOOK, before, sample(12, row(calls=900), row("b", calls=5)))
    assert {r.key[0]: r.rates["calls"] for r in made.rows} == {"a": None, "b": 1}


def test_a_row_of_others_has_no_rate_where_rows_had_been_left_out_and_it_grew() -> None:
    """It may have taken over what one of those had counted."""
    before = sample(10, row("b", calls=3), row(OTHERS, calls=10), forgotten=1)
    grown = Snapshot.between(HOOK, before, sample(12, row("b", calls=5), row(OTHERS, calls=30)))
    assert {r.key[0]: r.rates["calls"] for r in grown.rows} == {"b": 1, OTHERS: None}
    same = Snapshot.between(HOOK, before, sample(12, row("b", calls=5), row(OTHERS, calls=10)))
    assert {r.key[0]: r.rates["calls"] for r in same.rows} == {"b": 1, OTHERS: 0}


def test_what_is_derived_of_a_row_of_others_is_without_what_it_took_over() -> None:
    window = sample(0, row(calls=10, total=1000, times=(0, 10, 0, 0)))
    now = sample(10, row(OTHERS, calls=14, total=1040, times=(4, 10, 0, 0)))
    (others,) = Snapshot.between(HOOK, sample(9, row(calls=10)), now, window).rows
    assert others["mean"] == 10


# -- rows in which nothing happens -----------------------------------------------------------


def _counting(seed: int, ticks: int) -> list[Sample]:
    """Samples of rows that mostly rest, now and then count, come, go and begin again."""
    dice, made = random.Random(seed), list[Sample]()
    rows = {f"r{n}": row(f"r{n}") for n in range(20)}
    epoch = 0
    for tick in range(ticks):
        for name in dice.sample(sorted(rows), 3):
            _, level, calls, total, times = rows[name]
            more = dice.randrange(1, 9)
            counted = tuple(n + (i == more % 4) * more for i, n in enumerate(times))
            rows[name] = row(name, (calls or 0) + more, total + 7 * more, counted, level)
        if dice.random() < 0.2:
            rows.pop(dice.choice(sorted(rows)))
        if dice.random() < 0.2:
            rows[f"new{tick}"] = row(f"new{tick}", calls=None if dice.random() < 0.3 else 2)
        if dice.random() < 0.1:
            name = dice.choice(sorted(rows))
            rows[name] = row(name)
        if dice.random() < 0.1:
            rows[OTHERS] = row(OTHERS, calls=tick)
        epoch += dice.random() < 0.05
        made.append(sample(float(tick), *rows.values(), epoch=epoch, from_zero=bool(seed % 2)))
    return made


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("hook", [HOOK, replace(HOOK, columns=HOOK.columns[:4])])
def test_rows_that_are_kept_are_as_if_they_were_made_again(seed: int, hook: Hook) -> None:
    trail, kept = Trail(hook), 0
    before: Snapshot | None = None
    for n, one in enumerate(samples := _counting(seed, 60)):
        if hook is not HOOK:
            rows = {key: values[: len(hook.stored)] for key, values in one.rows.items()}
            one = samples[n] = replace(one, rows=rows)
        made = trail.snapshot(one)
        previous = samples[n - 1] if n and samples[n - 1].epoch == one.epoch else None
        assert made == Snapshot.between(hook, previous, one, made.window)
        if before is not None:
            known = {id(r) for r in before.rows}
            kept += sum(id(r) in known for r in made.rows)
        before = made
    assert kept > 300
