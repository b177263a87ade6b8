"""Counters for export: what is exported only grows, of a bounded number of rows."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

import pytest

from probes.columns.row_table import RowTable
from probes.model import OTHERS, Column, Hook, HookId, Kind, Sample, State, Status
from probes.units import Unit
from tests.support.calls_made import calls_made
from tui.prometheus.crowd import Labels
from tui.prometheus.totals import OTHER, STAY, ExportedRow, Shape, Totals

HOOK = Hook(
    name="drops",
    title="Drops",
    question="",
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
        (pid, reason): (pid, reason, n, (n or 0, 0), pid, (pid or 0) * 10, f"s{pid}")
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
    assert totals.rest_labels(()) == (OTHER,)


def test_who_is_busiest_now_has_a_place_at_once_and_counts_from_there() -> None:
    """It takes that of the row that did least, whose count goes on in the rest: none goes back."""
    totals = Totals(SHAPE, 2)
    totals.take(_sample(0, {(1, "a"): 10, (2, "b"): 20, (3, "c"): 5}))
    assert _packets(totals) == {"a": 10, "b": 20}
    totals.take(_sample(1, {(1, "a"): 10, (2, "b"): 21, (3, "c"): 500}))
    assert _packets(totals) == {"b": 21, "c": 495}, "what came since"
    assert totals.rest.grown[0] == 5 + 10
    totals.take(_sample(2, {(1, "a"): 1010, (2, "b"): 21, (3, "c"): 600}))
    assert _packets(totals) == {"a": 1000, "c": 595}, "it begins at zero, as after a restart"
    assert totals.rest.grown[0] == 5 + 10 + 21


def test_who_does_no_more_than_others_takes_nobodys_place() -> None:
    """Nor does anybody while nothing happens: series come and go for a reason only."""
    totals = Totals(SHAPE, 2)
    totals.take(_sample(0, {(1, "a"): 10, (2, "b"): 20, (3, "c"): 5}))
    totals.take(_sample(1, {(1, "a"): 13, (2, "b"): 23, (3, "c"): 8}))
    assert [*_packets(totals)] == ["b", "a"]
    totals.take(_sample(2, {(1, "a"): 13, (2, "b"): 23, (3, "c"): 8}))
    assert [*_packets(totals)] == ["b", "a"]


def test_the_busiest_of_each_reading_have_places_whoever_came_first() -> None:
    chance, counts = random.Random(3), dict.fromkeys(((n, f"r{n:02}") for n in range(60)), 0)
    totals = Totals(SHAPE, 5)
    totals.take(_sample(0, counts))
    for reading in range(1, 100):
        did = {key: chance.randrange(10_000) for key in counts}
        counts = {key: n + did[key] for key, n in counts.items()}
        totals.take(_sample(reading, counts))
        busiest = sorted(did, key=lambda key: -did[key])[:5]
        assert {name for _, name in busiest} <= _packets(totals).keys()
        held = sum(int(str(n)) for n in _packets(totals).values())
        assert held + int(str(totals.rest.grown[0])) == sum(counts.values())


def test_a_row_that_is_gone_keeps_its_place_until_it_has_been_scraped_for_long() -> None:
    """What it counted is the rest's from then on."""
    totals = Totals(SHAPE, 2)
    totals.take(_sample(0, {(1, "a"): 10}))
    totals.take(_sample(STAY - 1, {}))
    assert _packets(totals) == {"a": 10}
    totals.take(_sample(STAY + 1, {}))
    assert _packets(totals) == {}
    assert totals.rest.grown[0] == 10


def test_a_name_that_is_other_is_counted_with_the_rest() -> None:
    """A process may be called anything: two series with the same labels would spoil the scrape."""
    totals = Totals(SHAPE, 2)
    totals.take(_sample(0, {(1, OTHER): 10, (2, "b"): 1}))
    assert _packets(totals) == {"b": 1}
    assert totals.full
    assert totals.rest.grown[0] == 10


def test_whatever_comes_and_goes_nothing_goes_back_and_nothing_is_lost() -> None:
    """500 readings of rows that come, go, burst and begin anew: all that was counted is in the
    places there are and the rest."""
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
        given_up += len(before.keys() - now.keys())
        new_rest = int(str(totals.rest.grown[0] or 0))
        assert new_rest >= rest
        before, rest = now, new_rest
        assert sum(now.values()) + rest == truth
    assert given_up, "it has been tried"


def test_the_rest_is_counted_by_class() -> None:
    """What is lost and what is ordinary stay apart, also where rows have no place of their own."""
    shout = Column("class", "Class", kind=Kind.DERIVED, derive=_is_capital, label=True)
    shape = Shape(replace(HOOK, columns=(*HOOK.columns, shout)))
    assert shape.labels == ("reason", "class")
    totals = Totals(shape, 1)
    totals.take(_sample(0, {(1, "a"): 100, (2, "b"): 2, (3, "C"): 3, (4, "D"): 4}))
    assert list(totals.rows) == [("a", "small")]
    rests = {totals.rest_labels(told): place.grown[0] for told, place in totals.rests.items()}
    assert rests == {(OTHER, "small"): 2, (OTHER, "capital"): 7}


def _is_capital(values: Mapping[str, object]) -> str:
    return "capital" if str(values["reason"]).isupper() else "small"


def test_what_a_row_of_others_took_over_is_not_counted_again() -> None:
    """Rows that a full map threw out go on in one without a pid, and in that of all others."""
    totals = Totals(SHAPE, 9)

    def take(time: float, *rows: tuple[int | None, str, int]) -> None:
        made = {(p, r): (p, r, n, (n, 0), None, None, "") for p, r, n in rows}
        status = Status(HookId("drops"), State.ATTACHED, "best")
        totals.take(Sample(status, time, time, 1, made))

    take(0, (1, "a", 10), (2, "a", 5), (3, "b", 7))
    take(1, (2, "a", 6), (3, "b", 7), (None, "a", 12))  # 1 has gone; two more came before
    assert _packets(totals) == {"a": 18, "b": 7}
    take(2, (2, "a", 1), (None, "a", 18), (None, OTHERS, 9))  # 2 has come again, 3 has gone
    assert _packets(totals) == {"a": 19, "b": 7, OTHERS: 2}
    take(3, (2, "a", 4), (None, "a", 18), (None, OTHERS, 10))
    assert _packets(totals) == {"a": 22, "b": 7, OTHERS: 3}


def test_a_row_that_was_left_out_to_save_memory_is_counted_once() -> None:
    totals = Totals(SHAPE, 5)
    totals.take(_sample(0, {(1, "a"): 10, (2, "b"): 5}))
    totals.take(replace(_sample(1, {(2, "b"): 6}), forgotten=1))
    totals.take(_sample(2, {(1, "a"): 11, (2, "b"): 6}))
    assert _packets(totals) == {"a": 11, "b": 6}


def test_what_was_left_out_while_others_grew_is_counted_once() -> None:
    """Whether a row was thrown out or left out cannot be told: then it is not counted again."""
    totals = Totals(SHAPE, 9)

    def take(time: float, *rows: tuple[int | None, str, int], forgotten: int = 0) -> None:
        made = {(p, r): (p, r, n, (n, 0), None, None, "") for p, r, n in rows}
        status = Status(HookId("drops"), State.ATTACHED, "best")
        totals.take(Sample(status, time, time, 1, made, forgotten=forgotten))

    take(0, (1, "a", 10), (2, "b", 5), (None, OTHERS, 3))
    take(1, (2, "b", 6), (None, OTHERS, 7), forgotten=1)
    take(2, (1, "a", 11), (2, "b", 6), (None, OTHERS, 7))
    packets = _packets(totals)
    assert packets["a"] == 11, "it had only been left out"
    assert packets["b"] == 6
    take(3, (1, "a", 11), (None, OTHERS, 20), forgotten=1)
    take(4, (1, "a", 11), (None, OTHERS, 26), forgotten=1)
    assert _packets(totals)[OTHERS] == packets[OTHERS] + 13 - 6 + 6


# -- many rows -----------------------------------------------------------------------------------

_CLASS = Column("class", "Class", kind=Kind.DERIVED, derive=_is_capital, label=True)
_SHAPES = {"labels": SHAPE, "class": Shape(replace(HOOK, columns=(*HOOK.columns, _CLASS)))}


def _step(chance: random.Random, n: object) -> int | None:
    """Return a counter's next value: it stays, grows, begins anew, or is not known for a while."""
    base = n if isinstance(n, int) else 0
    return chance.choice((n if isinstance(n, int) else None, base + 3, base + 2**40, 2, 2**64 - 7))


def _table(sample: Sample) -> Sample:
    return replace(sample, rows=RowTable.of_rows(sample.rows.values(), HOOK.places.keys))


@pytest.mark.parametrize("shape", _SHAPES.values(), ids=_SHAPES)
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_tables_are_exported_like_rows(shape: Shape, full: bool, seed: int) -> None:
    """Also where the one is followed by the other, as with a map that grows and shrinks."""
    chance = random.Random(seed)
    counts: dict[tuple[int | None, str], int | None] = {}
    by_rows, by_tables, mixed = (Totals(shape, 9) for _ in range(3))
    others = 5
    for reading in range(30):
        for pid in range(40):
            key = (pid, f"{'rR'[pid % 2]}{pid % 25}")
            if chance.random() < 0.1:
                counts.pop(key, None)
            else:
                counts[key] = _step(chance, counts.get(key))
        others += chance.randrange(2**20)
        rows = {**counts, **({(None, OTHERS): others} if full else {})}
        sample = replace(
            _sample(reading * 20.0, rows, epoch=1 + reading // 11, from_zero=seed > 0),  # type: ignore[arg-type]
            forgotten=2 * (reading % 7 == 3),
        )
        by_rows.take(sample)
        by_tables.take(_table(sample))
        mixed.take(_table(sample) if reading % 3 else sample)
        assert repr(by_tables.rows) == repr(mixed.rows) == repr(by_rows.rows)
        assert repr(by_tables.rests) == repr(mixed.rests) == repr(by_rows.rests)


class _Counting(dict[Labels, ExportedRow]):
    """Places, and how often one was looked at."""

    looked = 0

    def __getitem__(self, labels: Labels) -> ExportedRow:
        self.looked += 1
        return super().__getitem__(labels)


def test_of_many_rows_each_finds_its_place_without_looking_at_all_others() -> None:
    totals = Totals(SHAPE, 300)
    totals.rows = places = _Counting()
    for reading in range(2):  # the second time everybody else is busy
        busy = {(n, f"r{n}"): 1 + n // 300 * reading for n in range(600)}
        totals.take(_sample(reading, {key: reading * 9 + did for key, did in busy.items()}))
    assert len(places) == 300
    assert ("r599",) in places
    assert places.looked < 10 * 600


def test_as_many_calls_export_more_rows() -> None:
    """Of many rows only those with a place of their own are looked at one by one."""
    calls = []
    for rows in (1000, 4000):
        totals = Totals(SHAPE, 25)
        for reading in range(3):
            counts = {(n, f"r{n}"): n + reading * (n % 3) for n in range(5 * reading, rows)}
            sample = _table(_sample(reading, counts))
            made = calls_made(lambda: totals.take(sample))  # noqa: B023
        calls.append(made)
    assert calls[1] < calls[0] + 40


def test_many_rows_that_go_for_a_while_keep_their_places() -> None:
    """A row that comes again counts where it did, also if it was not known as a column before."""
    totals, by_rows = Totals(SHAPE, 3), Totals(SHAPE, 3)
    rows = {(n, f"r{n}"): 10 * (n + 1) for n in range(40)}
    gone = {key: n for key, n in rows.items() if key[0] < 38}
    grown = {key: n + 1 for key, n in rows.items()}
    for reading, counts in enumerate((rows, gone, gone, rows, grown)):
        sample = _sample(reading, counts)
        totals.take(sample if reading in (0, 4) else _table(sample))
        by_rows.take(sample)
        assert [*totals.rows] == [("r39",), ("r38",), ("r37",)]
        assert repr(totals.rows) == repr(by_rows.rows)
        assert repr(totals.rests) == repr(by_rows.rests)
    assert _packets(totals)["r39"] == 801
