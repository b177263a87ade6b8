"""Values over time in columns: what a graph shows of a row's history."""

from __future__ import annotations

import math

import pytest

from probes.analysis import coarse
from probes.analysis.anomaly import Threshold
from probes.analysis.history import Figure, History
from probes.analysis.time_columns import in_columns
from probes.units import Unit
from tests.probes.analysis.test_history import FIGURE, _add, _numbers

NAN = math.nan


def test_each_second_has_its_column() -> None:
    assert in_columns([1, 2, 3], [5, 6, 7], 3, 4, 4) == [None, 5, 6, 7]


def test_of_several_values_in_a_column_the_greatest_is_shown() -> None:
    """A spike is never lost, however many minutes are shown."""
    values = [1.0] * 100
    values[42] = 1000.0
    shown = in_columns(list(range(1, 101)), values, 100, 100, 10)
    assert shown == [1, 1, 1, 1, 1000, 1, 1, 1, 1, 1]


def test_a_value_is_of_the_time_since_the_one_before() -> None:
    """No gap between readings that are further apart than columns."""
    assert in_columns([10, 20], [1, 2], 20, 20, 4) == [None, 1, 2, 2]


def test_what_is_not_known_is_a_gap() -> None:
    assert in_columns([1, 2, 3], [5, NAN, 7], 3, 3, 3) == [5, None, 7]
    assert in_columns([], [], 3, 3, 3) == [None] * 3


def test_columns_keep_their_values_while_time_goes_on() -> None:
    """They are multiples of their length: nothing flickers but what is new."""
    times, values = list(range(1, 200)), [float(n * 7919 % 101) for n in range(199)]
    before = in_columns(times[:150], values[:150], 150, 74, 37)
    after = in_columns(times[:152], values[:152], 152, 74, 37)
    assert before[1:] == after[:-1]


def test_a_hook_read_a_moment_before_the_others_leaves_no_gap() -> None:
    assert in_columns([1, 2, 2.999], [1, 2, 3], 3.001, 3, 3) == [1, 2, 3]


def _history(seconds: int = 10, epoch: int = 1) -> History:
    history = History((FIGURE,))
    for second in range(1, seconds + 1):
        _add(history, 100 + second, {"a": float(second)} if second > 4 else {}, epoch)
    return history


def test_a_curve_is_of_the_last_seconds_until_a_moment() -> None:
    history = _history()
    curve = history.curve(FIGURE, ("a",), end=110, seconds=4, number=4)
    assert curve.columns == [7, 8, 9, 10]
    assert curve.now == 10
    then = history.curve(FIGURE, ("a",), history.until(108), end=108, seconds=4, number=4)
    assert then.columns == [5, 6, 7, 8]
    assert then.now == 8


def test_a_row_that_was_not_there_has_what_its_rule_says() -> None:
    """No failing connects were none; of what has no rule nothing is known."""
    curve = _history().curve(FIGURE, ("a",), end=110, seconds=10, number=10)
    assert curve.columns == [0, 0, 0, 0, 5, 6, 7, 8, 9, 10]
    plain = Figure("rtt", "RTT", Unit.US, "tcp-rtt", _numbers, rule=Threshold(5, absent=None))
    history = History((plain,))
    for second in range(1, 11):
        _add(history, 100 + second, {"a": 1.0} if second > 4 else {})
    curve = history.curve(plain, ("a",), end=110, seconds=10, number=10)
    assert curve.columns == [None] * 4 + [1.0] * 6


def test_what_was_before_counting_began_is_not_known() -> None:
    """Attached anew: its rows begin then, and nothing is said of the time before."""
    history = _history()
    for second in range(11, 15):
        _add(history, 100 + second, {"b": 1.0} if second > 12 else {}, epoch=2)
    curve = history.curve(FIGURE, ("b",), end=114, seconds=14, number=14)
    assert curve.columns == [None] * 10 + [0, 0, 1, 1]


def test_a_row_that_nobody_knows_has_no_curve() -> None:
    assert _history().curve(FIGURE, ("x",), end=110, seconds=4, number=4).columns == [None] * 4
    assert History((FIGURE,)).curve(FIGURE, ("a",), end=1, seconds=4, number=2).now is None


@pytest.mark.parametrize("few", [520, 0], ids=["few", "many"])
def test_fifteen_minutes_are_kept_at_five_readings_a_second(
    few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is old is kept coarsely, in a quarter of the space: the greatest of each few."""
    monkeypatch.setattr(coarse, "FEW", few)
    history, keys = History((FIGURE,)), ("a", "b", "c")
    for tick in range(5000):
        rows = dict.fromkeys(keys[: 2 + (tick > 3000)], 1.0)
        rows["a"] = 500.0 if tick == 700 else 1.0
        _add(history, tick * 0.2, rows)
    curve = history.curve(FIGURE, ("a",), end=4999 * 0.2, seconds=900, number=90)
    assert None not in curve.columns
    assert max(v for v in curve.columns if v) == 500
    assert [at for at, v in enumerate(curve.columns) if v == 500] == [(140 - 100) // 10]
    late = history.curve(FIGURE, ("c",), end=4999 * 0.2, seconds=900, number=90).columns
    assert late[:49] == [0] * 49
    assert late[52:] == [1] * 38
    series = history._watched["tcp-rtt"].kept["rtt"].series
    kept = sum(part.number for part in (*series._parts, *series._coarse)) / 3
    assert kept < 1300 + 5000 / 16


def test_fifteen_minutes_of_a_row_take_four_bytes_a_reading() -> None:
    """Whatever is shown of them, and less for a row whose number stays the same."""
    history, rows = History((FIGURE,)), 600
    for second in range(1300):
        _add(history, second, {n: float(second % 7 if n % 2 else 1) for n in range(rows)})
    parts = history._watched["tcp-rtt"].kept["rtt"].series._parts
    kept = sum(part.number for part in parts) / rows
    assert 900 / 2 < kept < 1300
    for seconds in (120, 300, 900):
        history.curve(FIGURE, (0,), end=1299, seconds=seconds, number=100)
    assert sum(part.number for part in parts) / rows == kept


def test_fifteen_minutes_are_kept_at_a_reading_a_second() -> None:
    history = History((FIGURE,))
    for second in range(1100):
        _add(history, second, {"a": 1.0 + second})
    curve = history.curve(FIGURE, ("a",), end=1099, seconds=900, number=90)
    assert None not in curve.columns
    assert curve.columns[-1] == curve.now == 1100
