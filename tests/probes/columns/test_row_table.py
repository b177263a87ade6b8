"""Tables of rows: a mapping like any other, and aligned with one another."""

from __future__ import annotations

import random
import struct
from collections.abc import Mapping, Sequence

import pytest

from probes.arrays import FEW, np
from probes.columns.cells import (
    CodedCells,
    NumberCells,
    ObjectCells,
    TupleCells,
    cells_of,
    joined,
    nothing,
)
from probes.columns.row_table import ColumnRows, RowTable
from probes.kernel import procfs
from probes.model import Key, Row, Value
from probes.toolkit import decode

COLUMNS: Mapping[str, Sequence[Value]] = {
    "small": [1, 2, -3, 0],
    "large": [2**64 - 1, 2**63, 0, 5],
    "huge": [2**64, -1, 0, 5],
    "unknown": [None, None, None, None],
    "some unknown": [None, 7, 2**40, None],
    "floats": [0.5, -1.0, float("inf"), 2.0**70],
    "mixed": [1, 0.5, "x", None],
    "booleans": [True, False, True, False],
    "texts": ["a", "", "\udcff", "日本"],
    "buckets": [(1, 2), (0, 0), (2**64 - 1, 5), (3, 4)],
    "some buckets": [(1, 2), None, (3, 4), None],
    "of several lengths": [(1,), (1, 2), (), None],
    "negative buckets": [(1, -2), (0, 0), (3, 4), (5, 6)],
}  # fmt: skip


@pytest.mark.parametrize("values", COLUMNS.values(), ids=COLUMNS)
def test_cells_have_the_values_that_they_were_made_of(values: Sequence[Value]) -> None:
    cells = cells_of(values)
    expected = [(v, type(v)) for v in values]
    assert [(v, type(v)) for v in cells.values()] == expected
    assert [(v, type(v)) for v in map(cells.value, range(4))] == expected
    some = cells.at(np.array([2, 0]))
    assert some.values() == [values[2], values[0]]
    assert joined(cells, some).values() == [*values, values[2], values[0]]
    assert joined(nothing(2), cells).values() == [None, None, *values]
    assert joined(cells, nothing(1)).values() == [*values, None]


def test_cells_of_two_kinds_are_joined() -> None:
    for one in COLUMNS.values():
        for other in COLUMNS.values():
            both = joined(cells_of(one), cells_of(other)).values()
            assert [(v, type(v)) for v in both] == [(v, type(v)) for v in (*one, *other)]


@pytest.mark.parametrize("values", COLUMNS.values(), ids=COLUMNS)
@pytest.mark.parametrize("factor", [1, 3, 2**62])
def test_what_adds_up_is_multiplied(values: Sequence[Value], factor: int) -> None:
    def times(value: Value) -> Value:
        if isinstance(value, tuple):
            return tuple(n * factor for n in value)
        return value * factor if isinstance(value, int) and factor > 1 else value

    assert cells_of(values).times(factor).values() == list(map(times, values))


def test_kinds_are_as_narrow_as_their_values() -> None:
    kinds = {name: type(cells_of(values)) for name, values in COLUMNS.items()}
    assert kinds["small"] is kinds["large"] is kinds["some unknown"] is NumberCells
    assert kinds["buckets"] is TupleCells
    assert kinds["texts"] is kinds["huge"] is kinds["mixed"] is ObjectCells
    assert cells_of([(1, 2)] * 3).raw.dtype == "u1"


# -- tables --------------------------------------------------------------------------------------


def _rows(seed: int, number: int) -> dict[Key, Row]:
    dice = random.Random(seed)
    rows: dict[Key, Row] = {}
    while len(rows) < number:
        key = f"worker-{dice.randrange(9)}", dice.choice((None, dice.randrange(3 * number)))
        rows[key] = (*key, dice.random(), (dice.randrange(9), 1))
    return rows


def _table(rows: Mapping[Key, Row]) -> RowTable:
    return RowTable.of_rows(rows.values(), (0, 1))


def test_tables_of_which_only_one_has_unknown_keys_are_aligned_as_words() -> None:
    rows = {key: row for key, row in _rows(1, 200).items() if None not in key}
    some = {**dict(list(rows.items())[50:]), ("worker-1", None): ("worker-1", None, 1.0, (1, 1))}
    known, unknown = _table(rows), _table(some)
    for one, other in ((known, unknown), (unknown, known)):
        there = {key: place for place, key in enumerate(other)}
        assert one.places_in(other).tolist() == [there.get(key, -1) for key in one]
        assert "_index" not in other.__dict__


def test_a_few_rows_of_many_are_found_without_all_keys() -> None:
    rows = _rows(1, FEW + 100)
    table = _table(rows)
    for key in list(rows)[::40]:
        assert table[key] == rows[key]
    assert any(None in key for key in list(rows)[::40])
    for nobody in (("nobody", 1), ("worker-1", -1), ("worker-1", 1 << 70), ("worker-1",), "x"):
        assert nobody not in table
    assert "_index" not in table.__dict__
    assert all(table.place(key) == place for place, key in enumerate(rows))
    assert "_index" in table.__dict__


def test_a_table_is_a_mapping_of_its_rows() -> None:
    rows = _rows(1, 100)
    table = _table(rows)
    assert table == rows
    assert rows == table
    assert dict(table) == dict(table.items()) == {**table} == rows
    assert list(table) == list(table.keys()) == list(rows)
    assert list(table.values()) == list(rows.values())
    assert list(reversed(table)) == list(reversed(rows))
    key = list(rows)[7]
    assert table[key] == table.row(table.place(key)) == rows[key]
    assert key in table
    assert ("nobody", 1) not in table
    assert table.get(("nobody", 1)) is None
    with pytest.raises(KeyError):
        table["nobody", 1]


@pytest.mark.parametrize("seed", range(5))
def test_rows_are_found_in_an_earlier_table(seed: int) -> None:
    dice = random.Random(seed)
    before = _rows(seed, 200)
    kept = dice.sample(list(before), 150)
    now = {key: before[key] for key in kept} | _rows(seed + 100, 60)
    expected = [list(before).index(key) if key in before else -1 for key in now]
    assert _table(now).places_in(_table(before)).tolist() == expected
    same = _table(before)
    assert same.places_in(_table(before)).tolist() == list(range(200))
    assert _table(now).at(np.array([3, 1])) == {k: now[k] for k in (list(now)[3], list(now)[1])}


def test_keys_of_other_types_are_found_all_the_same() -> None:
    """Some have no words, or words of another kind."""
    for keys in (
        [1, 2, 3],
        [-1, -2, 3],
        [2**63, 1, 2],
        [1.0, 2.0, 3.5],
        [True, 2, 3],
        [None, 2, 3],
    ):
        for others in ([1, 2, 3], [3, 2, 1], [-2, -1, 2], [2**63, 2, 9], [None, True, 2.0]):
            now = RowTable.of_rows([(key, 0) for key in keys], (0,))
            before = RowTable.of_rows([(key, 0) for key in others], (0,))
            expected = [others.index(key) if key in others else -1 for key in keys]
            assert now.places_in(before).tolist() == expected


def test_of_rows_with_one_key_the_last_stays_where_the_first_was() -> None:
    cells = [cells_of(["a", "b", "a"]), cells_of([1, 2, 3])]
    assert list(RowTable.of(cells, (0,)).items()) == [(("a",), ("a", 3)), (("b",), ("b", 2))]
    numbers = [cells_of([7, 8, 7]), cells_of([1, 2, 3])]
    assert list(RowTable.of(numbers, (0,)).items()) == [((7,), (7, 3)), ((8,), (8, 2))]


def test_rows_of_columns_are_a_sequence() -> None:
    rows = ColumnRows([cells_of([1, 2, 3]), cells_of(["a", "b", "c"])])
    assert list(rows) == [(1, "a"), (2, "b"), (3, "c")]
    assert (rows[1], rows[-1], rows[1:], len(rows)) == ((2, "b"), (3, "c"), [(2, "b"), (3, "c")], 3)


# -- decoded later -------------------------------------------------------------------------------


def _octets(*values: bytes) -> np.ndarray:  # type: ignore[type-arg]
    return np.frombuffer(b"".join(values), "u1").reshape(len(values), -1)


def test_names_are_decoded_when_they_are_asked_for() -> None:
    raw = [b"curl\0old bytes..", b"\0" * 16, b"all sixteen here", b"curl\0others......"[:16]]
    cells = decode.lazily(decode.comm, _octets(*raw))
    assert isinstance(cells, CodedCells)
    assert cells.values() == list(map(decode.comm, raw)) == ["curl", "", "all sixteen here", "curl"]
    assert (cells.words()[0] == cells.words()[3]).all(), "what is behind the end is no difference"


def test_for_rows_with_their_keys_each_value_is_decoded_once() -> None:
    calls: list[int] = []

    def decoded(number: int) -> str:
        calls.append(number)
        return f"name {number}"

    table = RowTable([CodedCells(np.arange(9), decoded), cells_of([1] * 9)], (0,))
    assert list(table.items())[3] == (("name 3",), ("name 3", 1))
    assert calls == list(range(9))


@pytest.mark.parametrize("width", [16, 24])
def test_addresses_are_decoded_when_they_are_asked_for(width: int) -> None:
    dice = random.Random(width)
    mapped = bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 1])
    raw = [bytes([32 + n]) + dice.randbytes(15) for n in range(20)]
    raw = [one.ljust(width, b"\0") for one in (mapped, *raw)]
    cells = decode.lazily(decode.address, _octets(*raw))
    assert isinstance(cells, CodedCells)
    assert cells.values() == list(map(decode.address, raw))
    assert cells.value(0) == "10.0.0.1"


@pytest.mark.parametrize("begin", ["fe80", "febf", "ff01", "ff02", "0fe8"])
def test_the_link_of_an_address_is_named_when_it_is_read(begin: str) -> None:
    lo = bytes.fromhex(begin).ljust(16, b"\1") + struct.pack("=II", 1, procfs.netns())
    elsewhere = bytes.fromhex(begin).ljust(16, b"\2") + struct.pack("=II", 7, 9)
    raw = [bytes(16) + b"\1" * 8, lo, elsewhere, bytes(15) + b"\1" + b"\7" * 8]
    cells = decode.lazily(decode.address, _octets(*raw))
    assert isinstance(cells, CodedCells)
    assert cells.values() == list(map(decode.address, raw))
    assert cells.values()[1].endswith("%lo") == (begin != "0fe8")  # type: ignore[union-attr]
    again = decode.lazily(decode.address, _octets(*raw))
    assert again is not None
    assert again.space == cells.space
    assert (again.words() == cells.words()).all()


def test_links_with_one_name_are_one_link() -> None:
    """A row whose key has such an address is one, as it is where rows are decoded one by one."""
    begin = bytes.fromhex("fe80").ljust(16, b"\1")
    raw = [begin + struct.pack("=II", *link) for link in ((0, 1), (7, 9), (0, 2), (0, 1))]
    cells = decode.lazily(decode.address, _octets(*raw))
    assert cells is not None
    assert cells.values() == list(map(decode.address, raw))
    rows = {(address,): (address, n) for n, address in enumerate(cells.values())}
    assert len(rows) == 2
    assert dict(RowTable.of([cells, cells_of(range(4))], (0,)).items()) == rows
    assert len(RowTable.of([cells, cells_of(range(4))], (0,))) == 2
    assert len(np.unique(cells.words(), axis=0)) == 2


def test_what_is_decoded_later_never_says_the_same_of_two_values() -> None:
    for function in (decode.ip_protocol, decode.family, decode.errno_name):
        made = decode.lazily(function, np.arange(2000))
        assert made is not None
        assert len(set(made.values())) == 2000
        assert made.values() == list(map(function, range(2000)))


def _of_buffer(counts: list[int]) -> RowTable:
    """A table whose columns are parts of what was read."""
    read = np.zeros(len(counts), [("key", "u4"), ("count", "u8"), ("unused", "u1", (200,))])
    read["key"], read["count"] = np.arange(len(counts)), counts
    return RowTable.of([NumberCells(read["key"]), NumberCells(read["count"])], (0,))


def test_a_kept_table_holds_no_more_than_its_columns() -> None:
    table = _of_buffer([5, 6])
    table.keep(None)
    assert all(cells.raw.base is None for cells in table.cells)
    assert dict(table) == {(0,): (0, 5), (1,): (1, 6)}


def test_equal_columns_of_tables_with_equal_keys_are_kept_once() -> None:
    first, then, more = _of_buffer([5, 6]), _of_buffer([5, 7]), _of_buffer([5, 7, 8])
    for table, before in ((first, None), (then, first), (more, then)):
        table.keep(before)
    assert then.cells[0] is first.cells[0]
    assert then.places_in(first).tolist() == [0, 1]
    assert more.places_in(then).tolist() == [0, 1, -1]
    assert [list(table.values()) for table in (then, more)] == [
        [(0, 5), (1, 7)],
        [(0, 5), (1, 7), (2, 8)],
    ]
