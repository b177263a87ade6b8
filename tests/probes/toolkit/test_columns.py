"""Means and quantiles over the window, and the columns that have them."""

from __future__ import annotations

import pytest

from probes.hooks import catalogue
from probes.model import Column, Kind, Value
from probes.toolkit.columns import counter, derived, given, histogram, key, latency, level
from probes.toolkit.window import mean, quantile
from probes.units import Unit


def test_a_column_is_read_from_the_c_field_of_its_name() -> None:
    made = [
        key("pid", "Pid", "whose", Unit.NUMBER, width=7, label=False),
        counter("calls", "Calls", "begun"),
        level("state", "State", "now"),
        histogram("took", "Took", "log2 of ns", Unit.NS, total="ns"),
    ]
    assert made == [
        Column("pid", "Pid", Unit.NUMBER, Kind.KEY, "pid", width=7, help="whose", label=False),
        Column("calls", "Calls", Unit.COUNT, Kind.COUNTER, "calls", help="begun"),
        Column("state", "State", field="state", help="now"),
        Column(
            "took", "Took", Unit.NS, Kind.HISTOGRAM, "took",
            hidden=True, help="log2 of ns", total="ns",
        ),
    ]  # fmt: skip


def test_a_column_names_another_field_or_none() -> None:
    assert key("port", "Port", "of TCP", field="rport").field == "rport"
    assert level("owner", "Owner", "by name", field=None).field is None
    assert derived("mean", "Mean", "of both", Unit.NS, mean("a", "b")).field is None


def test_a_given_table_reads_no_field() -> None:
    table = given(*latency("latency", "time"), key("name", "Name", "of it"))
    assert {column.field for column in table} == {None}
    assert [c.name for c in table] == ["total_ns", "latency", "mean_ns", "p99_ns", "name"]


@pytest.mark.parametrize(
    ("total", "number", "expected"),
    [(10, 4, 2.5), (0, 4, 0.0), (10, 0, None), (None, 4, None), (10, None, None), ("x", 4, None)],
)
def test_a_mean_is_the_total_by_the_number(total: object, number: object, expected: object) -> None:
    assert mean("t", "n")({"t": total, "n": number}) == expected  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("buckets", "q", "low", "high"),
    [
        ((0, 0, 0, 8), 0.5, 8, 16),
        ((0, 0, 0, 8), 0.99, 8, 16),
        ((8, 0, 0, 0), 0.5, 0, 2),
        ((99, 0, 0, 1), 0.99, 0, 2),
        ((98, 0, 0, 2), 0.99, 8, 16),
        ((1, 1, 1, 1), 0.25, 0, 2),
        ((1, 1, 1, 1), 1.0, 8, 16),
        ((0, 1, 0, 0), 0.0, 2, 4),
    ],
)
def test_a_quantile_lies_within_the_bucket_that_holds_it(
    buckets: tuple[int, ...], q: float, low: float, high: float
) -> None:
    found = quantile("h", q)({"h": buckets})
    assert isinstance(found, float)
    assert low <= found <= high


@pytest.mark.parametrize("empty", [(), (0, 0, 0), None, 5])
def test_a_quantile_of_nothing_is_none(empty: object) -> None:
    assert quantile("h", 0.5)({"h": empty}) is None  # type: ignore[dict-item]


def test_quantiles_grow_with_q() -> None:
    buckets = (3, 0, 7, 1, 0, 12, 2)
    found = [quantile("h", q / 20)({"h": buckets}) for q in range(21)]
    assert found == sorted(found, key=float)  # type: ignore[arg-type]


def test_hooks_that_time_something_have_the_same_columns() -> None:
    names = [c.name for c in latency("calls", "time")]
    assert names == ["total_ns", "latency", "mean_ns", "p99_ns"]
    for hook in catalogue().values():
        mine = [c.name for c in hook.columns if c.name in names]
        assert mine in ([], names), hook.name
    assert [c.kind for c in latency("calls", "time") if not c.hidden] == [Kind.DERIVED] * 2


@pytest.mark.parametrize("values", [[1023], [1000] * 5, [900, 1000, 1023], [3, 1000], [1] * 200])
def test_quantiles_are_within_what_was_seen(values: list[int]) -> None:
    """Beside the least and the mean on the same row, whatever the bucket makes of them."""
    buckets = tuple(sum(v.bit_length() - 1 == power for v in values) for power in range(11))
    row: dict[str, Value] = {"h": buckets, "least": min(values), "total": sum(values)}
    p50, p99 = (quantile("h", q, total="total", least="least")(row) for q in (0.5, 0.99))
    assert isinstance(p50, float)
    assert isinstance(p99, float)
    assert min(values) <= p50 <= p99
    assert p99 >= sum(values) / len(values) or len(values) >= 100
    if len(values) == 1:
        assert p99 == values[0]


def test_round_trips_are_not_below_the_kernel_s_own_least() -> None:
    hook = catalogue()["tcp-rtt"]
    row: dict[str, Value] = {"rtt": (0,) * 9 + (10,), "min_us": 1000}
    found = {c.name: c.derive(row) for c in hook.columns if c.derive is not None}
    assert found["p50_us"] == 1000
    assert float(str(found["p99_us"])) >= 1000
    row["min_us"] = None
    assert {c.name: c.derive(row) for c in hook.columns if c.derive is not None}["p50_us"] == 768
