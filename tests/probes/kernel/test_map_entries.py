"""Entries of a map as arrays are those that rows have, for every map of every hook. No kernel."""

from __future__ import annotations

import random
import sys
from functools import cache
from typing import Any

import pytest

from probes.arrays import FEW, np
from probes.kernel.map_entries import MapEntries, StructLayout, summed, written
from probes.kernel.maps import QUEUE
from tests.support.layouts import Declared, declared
from tests.support.odd_values import TARGETS, rungs


@cache
def _maps() -> dict[str, Declared]:
    """Every layout that there is, once."""
    found = {}
    for hook, rung in rungs():
        for about in declared(rung.source_for(TARGETS.get(hook.target))) if rung.source else ():
            if about.type != QUEUE:
                found[f"{about.key}{about.value}"] = about
    return found


def _entries(about: Declared, number: int, seed: int = 0) -> MapEntries:
    dice = random.Random(seed)
    layouts = (
        StructLayout(about.key, about.key_size, "key"),
        StructLayout(about.value, about.value_size, "value"),
    )
    keys, values = (dice.randbytes(layout.size * number) for layout in layouts)
    return MapEntries(layouts, keys, values)


def _in_row(row: tuple[Any, ...], place: int | slice) -> Any:
    return row[place] if isinstance(place, int) else list(row[place])


def _plain(value: Any, field: Any) -> Any:
    return bytes(value) if isinstance(field, bytes) else value.tolist()


def _fields(about: Declared) -> dict[str, int | slice]:
    key = StructLayout(about.key, about.key_size, "key")
    value = StructLayout(about.value, about.value_size, "value")
    n = key.columns
    moved = {
        name: at + n if isinstance(at, int) else slice(at.start + n, at.stop + n)
        for name, at in value.fields.items()
    }
    return {**key.fields, **moved}


def test_every_field_of_every_map_is_what_rows_have() -> None:
    assert len(_maps()) > 30
    for about in _maps().values():
        entries = _entries(about, 20)
        rows = entries.rows()
        assert len(entries) == len(rows) == 20
        for field, place in _fields(about).items():
            expected = [_in_row(row, place) for row in rows]
            got = [_plain(v, e) for v, e in zip(entries[field], expected, strict=True)]
            assert got == expected, (about.name, field)


def test_some_of_the_entries_are_those_rows() -> None:
    for about in list(_maps().values())[:10]:
        entries = _entries(about, 30)
        places = np.array([3, 3, 17])
        assert entries.where(places).rows() == [entries.rows()[n] for n in (3, 3, 17)]
        flags = np.arange(30) % 7 == 0
        assert entries.where(flags).rows() == entries.rows()[::7]


def test_no_entries_are_no_rows() -> None:
    for about in _maps().values():
        entries = _entries(about, 0)
        assert (len(entries), entries.rows()) == (0, [])
        assert all(len(entries[field]) == 0 for field in _fields(about))


@pytest.mark.parametrize("cpus", [1, 3, 64])
def test_values_of_cpus_are_added_lane_by_lane(cpus: int) -> None:
    dice, lanes, number = random.Random(cpus), 5, FEW + 1
    numbers = [[[dice.randrange(1 << 57) for _ in range(lanes)] for _ in range(cpus)]
               for _ in range(number)]  # fmt: skip
    values = b"".join(
        n.to_bytes(8, sys.byteorder) for entry in numbers for cpu in entry for n in cpu
    )
    expected = [[sum(lane) for lane in zip(*entry, strict=True)] for entry in numbers]
    sums = np.frombuffer(summed(values, cpus, lanes), "=u8").reshape(number, lanes)
    assert sums.tolist() == expected


def test_entries_that_are_zero_were_not_written_to() -> None:
    keys, values = bytes(range(8)), b"\0\0\0\1" + bytes(4) + b"\1\0\0\0" + bytes(4)
    assert written(keys, values, (2, 4)) == (b"\0\1\4\5", b"\0\0\0\1\1\0\0\0")
