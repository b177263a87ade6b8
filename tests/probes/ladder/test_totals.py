"""Totals that go on from rung to rung, of an attachment whose rungs count what they are told to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from probes.arrays import np
from probes.columns.cells import cells_of
from probes.columns.row_table import ColumnRows, RowTable
from probes.compile.compiler import Compiler
from probes.errors import Unsupported
from probes.ladder import carried
from probes.ladder.attachment import Attachment
from probes.ladder.modules import Modules
from probes.ladder.row_limit import MIN_ROWS, RowLimit
from probes.model import Column, Hook, Kind, Opening, Reading, Row, Rung, Sample
from probes.units import Unit


class Counting:
    """A rung that has counted `calls`; `opens` is done as it is opened."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls: dict[str, int] = {}
        self.opens: Callable[[], object] = dict

    def open(self, _: Opening) -> Callable[[], Reading]:
        self.opens()
        return self.read

    def read(self) -> Reading:
        rows: list[Row] = [(name, n) for name, n in self.calls.items()]
        return Reading(rows)

    def rung(self) -> Rung:
        return Rung(self.name, "nothing", self.open, precheck=lambda: None)


COLUMNS = (Column("a", "A", kind=Kind.KEY), Column("n", "N", Unit.COUNT, Kind.COUNTER))
Made = tuple[Attachment, Counting, Counting]
Make = Callable[..., Made]


@pytest.fixture
def make() -> Make:
    def made(rows: RowLimit | None = None, **of_hook: bool) -> Made:
        best, other = Counting("best"), Counting("other")
        hook = Hook("made-up", "", "", COLUMNS, (best.rung(), other.rung()))
        attachment = Attachment(replace(hook, **of_hook), Modules(Compiler()), rows=rows)
        attachment.climb()
        return attachment, best, other

    return made


def _calls(sample: Sample) -> dict[object, object]:
    return {name: row[1] for (name,), row in sample.rows.items()}


def _refuse() -> None:
    raise Unsupported("not here")


@pytest.mark.parametrize("then", ["other", "detach"])
def test_what_was_counted_when_nothing_followed_is_not_added_later(make: Make, then: str) -> None:
    """A rung was refused after it was opened; a row goes and comes again before another stands."""
    attachment, best, other = make(rows_go=True)
    best.calls = {"a": 50, "b": 1}
    attachment.read()
    other.opens = _refuse
    with pytest.raises(Unsupported):
        attachment._stand(other.rung())
    best.calls, other.opens = {"a": 3, "b": 2}, dict
    if then == "detach":
        attachment.cut_off("too dear")
    attachment.climb(pinned="other")
    other.calls = {"a": 1}
    assert _calls(attachment.read()) == {"a": 4}


def test_a_map_that_the_next_rung_empties_loses_nothing(make: Make) -> None:
    attachment, best, other = make()
    best.calls = {"a": 50, "b": 1}
    other.opens = best.calls.clear
    attachment.climb(pinned="other")
    other.calls = {"a": 1}
    assert _calls(attachment.read()) == {"a": 51, "b": 1}


def test_rows_of_the_past_have_a_bound_and_those_beyond_are_counted(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other names after each change, as of processes: those that did most stay."""
    monkeypatch.setattr(carried, "MAX_IDLE_ROWS", 10)
    attachment, best, other = make()
    for turn in range(20):
        rung = (best, other)[turn % 2]
        rung.calls = {}
        if turn:
            attachment.climb(pinned=rung.name)
        rung.calls = {f"{turn}-{n}": turn * 10 + n + 1 for n in range(5)}
        sample = attachment.read()
        assert len(sample.rows) <= 10 + 5
        assert len(sample.rows) + sample.forgotten == 5 * (turn + 1)
    assert _calls(sample)["19-4"] == 195
    assert {str(name).partition("-")[0] for name in _calls(sample)} == {"17", "18", "19"}


def test_rows_of_the_past_for_which_there_is_no_memory_are_thrown_out(make: Make) -> None:
    attachment, best, other = make(RowLimit(MIN_ROWS))
    best.calls = {f"old-{n}": n + 1 for n in range(50)}
    attachment.climb(pinned="other")
    for turn in range(3):
        other.calls = {"new": 100 + turn}
        sample = attachment.read()
        assert (len(sample.rows), sample.forgotten) == (MIN_ROWS, 51 - MIN_ROWS)
        assert _calls(sample)["new"] == 100 + turn
    standing = attachment._standing
    assert standing is not None
    assert standing.base is not None
    assert len(standing.base.rows) <= MIN_ROWS


def test_rows_that_are_counted_still_go_on_though_they_were_left_out(make: Make) -> None:
    attachment, best, other = make(RowLimit(MIN_ROWS))
    best.calls = {f"{n}": 100 for n in range(50)}
    attachment.climb(pinned="other")
    other.calls = {f"{n}": n + 1 for n in range(50)}
    assert attachment.read().forgotten == 50 - MIN_ROWS
    other.calls["0"] = 1000
    assert _calls(attachment.read())["0"] == 1100


def test_columns_without_a_row_are_no_table() -> None:
    """Who takes columns of it may ask for the greatest of a column."""
    full = ColumnRows([cells_of(["x", "y"]), cells_of([5, 7])])
    nothing = ColumnRows([cells.at(np.array([], int)) for cells in full.cells])
    found = [full]
    rung = Rung("best", "nothing", lambda _: lambda: Reading(found[0]), precheck=lambda: None)
    hook = Hook("made-up", "", "", COLUMNS, (rung,))
    attachment = Attachment(hook, Modules(Compiler()), rows=RowLimit(1000))
    attachment.climb()
    assert isinstance(attachment.read().rows, RowTable)
    found[0] = nothing
    assert attachment.read().rows == {}
    assert not isinstance(attachment.read().rows, RowTable)
    attachment.detach()
