"""Rows get the columns of their owner, whether they are tuples or columns."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import pytest

from probes.arrays import np
from probes.columns.cells import NumberCells, cells_of
from probes.columns.row_table import ColumnRows
from probes.model import Hook, Row
from probes.owners import owner_columns
from probes.owners.owner_columns import NAMES, with_owners
from probes.owners.processes import NOBODY, ProcessOwner, ProcessOwners
from probes.toolkit.columns import cgroup, counter, key, level, owner
from probes.units import Unit

WEB, SSH = ProcessOwner("web", None, "blue"), ProcessOwner(None, "ssh.service", "host")
_PID = key("pid", "Pid", "", Unit.NUMBER)
_NETNS = level("netns", "NetNS id", "", Unit.NUMBER)
_CALLS = counter("calls", "Calls", "")


class _Known:
    def of_all(self, pids: Sequence[int]) -> list[ProcessOwner]:
        return [{7: WEB, 8: SSH}.get(pid, NOBODY) for pid in pids]

    def remember(self, owners: Mapping[int, ProcessOwner]) -> None:
        self.remembered = dict(owners)

    def of_cgroups(self, paths: Sequence[str]) -> list[ProcessOwner]:
        return [ProcessOwner("db") if path == "/db" else NOBODY for path in paths]

    def namespaces(self, inodes: Sequence[int]) -> list[str | None]:
        return [{11: "red"}.get(inode, "own") for inode in inodes]


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner_columns, "shared", _Known())


def _hook(*columns: object) -> Hook:
    return Hook("h", "H", "?", (*columns, *owner("it")), ())  # type: ignore[arg-type]


def _both_ways(hook: Hook, rows: list[Row]) -> list[Row]:
    columns = ColumnRows([cells_of(column) for column in zip(*rows, strict=True)])
    made = list(with_owners(hook, rows))
    assert list(with_owners(hook, columns)) == made
    return [row[-len(NAMES) :] for row in made]


def test_by_process() -> None:
    hook = _hook(_PID, _CALLS)
    rows: list[Row] = [(7, 1), (8, 2), (9, 3), (7, 4)]
    assert _both_ways(hook, rows) == [WEB, SSH, NOBODY, WEB]
    filled = [(*row, None, None, None) for row in rows]
    assert _both_ways(hook, filled) == [WEB, SSH, NOBODY, WEB], "in place of what a reader left"
    assert [row[:2] for row in with_owners(hook, rows)] == rows


def test_a_row_without_a_process_has_no_owner() -> None:
    assert _both_ways(_hook(_PID), [(None,), (7,)]) == [NOBODY, WEB]
    assert list(with_owners(_hook(_PID), [])) == []


def test_a_cgroup_says_more_than_a_process_that_has_gone() -> None:
    hook = _hook(*cgroup(), _PID)
    rows: list[Row] = [(1, "/db", 9), (2, "/", 7), (3, "/db", 8)]
    assert _both_ways(hook, rows) == [
        ("db", None, None),
        ("web", None, "blue"),
        ("db", "ssh.service", "host"),
    ]


def test_a_namespace_of_its_own_comes_before_the_process_s() -> None:
    """None: this thread's; it has a name as well."""
    assert _both_ways(_hook(_PID, _NETNS), [(7, 11), (7, None)]) == [
        ("web", None, "red"),
        ("web", None, "own"),
    ]


def test_other_hooks_rows_stay_what_they_are() -> None:
    rows: list[Row] = [(7, 1)]
    plain = Hook("h", "H", "?", (_PID, _CALLS), ())
    assert with_owners(plain, rows) is rows


def test_numbers_of_processes_may_be_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of maps are unsigned, and a reader may give texts."""
    raw = np.array([7, 2**63 + 1], "u8")
    made = with_owners(_hook(_PID), ColumnRows([NumberCells(raw)]))
    assert [row[1:] for row in made] == [WEB, NOBODY]
    assert [row[1:] for row in with_owners(_hook(_PID), [("x",)])] == [NOBODY]
    monkeypatch.setattr(owner_columns, "shared", ProcessOwners())
    rows = list(with_owners(_hook(_PID), [(os.getpid(),), (2**63 + 1,), (-4,)]))
    assert [row[3] is None for row in rows] == [False, True, True]
