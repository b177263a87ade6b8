"""Map rows to a sample's rows, by the columns and nothing else."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from probes.errors import Gone
from probes.kernel.tick_cache import one_reading
from probes.model import Column, Hook, Kind, Opening, Reading, Table
from probes.toolkit.decode import comm
from probes.toolkit.interface_names import interface_name
from probes.toolkit.readers import (
    by_columns,
    filled,
    of_interface,
    row_from,
    row_of,
)
from probes.toolkit.window import mean

Entry = tuple[int | bytes, ...]


class FewEntries(list[Entry]):
    """So few that they are read as rows."""

    def rows(self) -> list[Entry]:
        return list(self)


@dataclass
class Rows:
    """A table of rows that stand in memory; the first field is the key."""

    fields: Mapping[str, int | slice]
    held: list[Entry] = field(default_factory=list)

    def rows(self) -> list[Entry]:
        return list(self.held)

    def entries(self, *, used: bool = False) -> FewEntries:
        return FewEntries(self.used() if used else self.rows())

    def used(self) -> list[Entry]:
        return [entry for entry in self.held if any(entry[1:])]

    def row(self, key: Entry) -> Entry | None:
        return next((e for e in self.held if e[: len(key)] == key), None)

    @property
    def keys(self) -> int:
        return 1

    def update(self, key: Entry, value: Entry) -> None:
        self.delete(key)
        self.held.append((*key, *value))

    def delete(self, key: Entry) -> bool:
        before = len(self.held)
        self.held = [e for e in self.held if e[: len(key)] != key]
        return len(self.held) < before

    def drain(self) -> list[Entry]:
        taken, self.held = self.held, []
        return taken


def _hook(*columns: Column) -> Hook:
    return Hook("made-up", "Made up", "Nothing.", columns, ())


COLUMNS = (
    Column("comm", "Command", field="comm", decode=comm),
    Column("pid", "Pid", kind=Kind.KEY, field="key"),
    Column("elsewhere", "Elsewhere"),
    Column("latency", "Latency", kind=Kind.HISTOGRAM, field="latency"),
    Column("mean", "Mean", kind=Kind.DERIVED, derive=mean("a", "b")),
)
FIELDS: Mapping[str, int | slice] = {"key": 0, "comm": 1, "latency": slice(2, 5)}


def test_each_stored_column_comes_from_the_field_it_names() -> None:
    table = Rows(FIELDS, [(7, b"curl\0", 1, 2, 3), (8, b"wget\0", 0, 0, 9)])
    read = by_columns()(Opening(_hook(*COLUMNS), {"rows": table}, None, 0))
    assert list(read().rows) == [
        ("curl", 7, None, (1, 2, 3)),
        ("wget", 8, None, (0, 0, 9)),
    ]


def test_every_reading_sees_the_map_as_it_is_then() -> None:
    table = Rows(FIELDS)
    read = by_columns()(Opening(_hook(*COLUMNS), {"rows": table}, None, 0))
    assert list(read().rows) == []
    table.held.append((1, b"late\0", 0, 0, 0))
    assert [row[0] for row in read().rows] == ["late"]


def test_a_column_of_a_field_that_the_map_lacks_is_an_error_at_once() -> None:
    """When the rung is opened, not at some later tick."""
    with pytest.raises(KeyError):
        row_of([Column("x", "X", field="nowhere")], Rows(FIELDS))


INTERFACE_COLUMNS = (
    Column("ifindex", "Index", kind=Kind.KEY),
    Column("interface", "Interface"),
    Column("packets", "Packets", kind=Kind.COUNTER, field="packets"),
    Column("dropped", "Dropped", kind=Kind.COUNTER),
)
LO = socket.if_nametoindex("lo")
KEYED: Mapping[str, int | slice] = {"key": 0, "packets": 1}


def _of_lo(table: Table, **extra: int) -> tuple[object, ...]:
    opening = Opening(_hook(*INTERFACE_COLUMNS), {"rows": table}, "lo", LO)
    read = of_interface(lambda _: extra)(opening)
    (row,) = read().rows
    return row


def test_an_interface_has_a_row_before_its_first_packet() -> None:
    """Zero where counting began, None where another source knows nothing."""
    assert _of_lo(Rows(KEYED)) == (LO, "lo", 0, None)


def test_what_was_counted_before_the_attachment_does_not_count() -> None:
    """Targets share the map, so a target that comes back would find its old numbers."""
    table = Rows(KEYED, [(LO, 99), (LO + 1, 5)])
    assert _of_lo(table) == (LO, "lo", 0, None)
    assert table.held == [(LO + 1, 5), (LO, 0)], "and the others keep theirs"


def test_an_interface_s_row_is_its_entry_and_what_is_known_beside() -> None:
    table = Rows(KEYED)
    opening = Opening(_hook(*INTERFACE_COLUMNS), {"rows": table}, "lo", LO)
    read = of_interface(lambda _: {"dropped": 3})(opening)
    table.update((LO,), (12,))
    table.update((LO + 1,), (5,))
    assert list(read().rows) == [(LO, "lo", 12, 3)]


def test_an_interface_on_which_nothing_is_counted_is_idle() -> None:
    table, known = Rows(KEYED, [(LO + 1, 5)]), {"dropped": 3}
    opening = Opening(_hook(*INTERFACE_COLUMNS), {"rows": table}, "lo", LO)
    read = of_interface(lambda _: known)(opening)
    first, second, third = read(), read(), read()
    assert [r.idle for r in (first, second, third)] == [False, True, True]
    assert list(second.rows) == list(first.rows)
    table.update((LO,), (1,))
    assert (counted := read()) == Reading([(LO, "lo", 1, 3)])
    assert not counted.idle
    known["dropped"] = 4
    assert read() == Reading([(LO, "lo", 1, 4)])


def test_all_targets_are_read_at_once_wherever_their_entries_are() -> None:
    table = Rows(KEYED, [(LO + 1, 5), (LO + 2, 6)])
    opening = Opening(_hook(*INTERFACE_COLUMNS), {"rows": table}, "lo", LO)
    read = of_interface(lambda _: {})(opening)
    for held in ([(LO, 1), (LO + 1, 5)], [(LO + 1, 5), (LO, 2)], [(LO + 1, 5)], [(LO, 3)]):
        table.held[:] = held
        with one_reading():
            (row,) = read().rows
        assert row == (LO, "lo", dict(held).get(LO, 0), None)


def test_an_interface_that_has_gone_is_said() -> None:
    with pytest.raises(Gone):
        interface_name(2**31 - 1)
    opening = Opening(_hook(*INTERFACE_COLUMNS), {"rows": Rows({"packets": 1})}, "x", 2**31 - 1)
    read = of_interface(lambda _: {})(opening)
    with pytest.raises(Gone, match="interface has gone"):
        read()


def test_rows_of_what_is_known() -> None:
    columns = (Column("a", "A"), Column("b", "B"), Column("c", "C"))
    assert row_from(columns, {"b": 2, "other": 9}) == (None, 2, None)
    assert filled(columns, (1, 2, 3), {"b": None, "c": 0}) == (1, None, 0)
    with pytest.raises(ValueError, match="zip"):
        filled(columns, (1, 2), {})
