"""Columns are recorded as the same bytes as the rows that they hold."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

import pytest

from probes.arrays import np
from probes.columns.cells import CodedCells, cells_of, differ
from probes.columns.row_table import RowTable
from probes.model import Column, Hook, HookId, Key, Kind, Row, Sample, State, Status, Value
from probes.recording import bookmarks
from probes.recording.bookmarks import Bookmarker
from probes.recording.decoder import Decoder
from probes.recording.encoder import Encoder, Tick

HOOK = Hook(
    name="made-up",
    title="Made up",
    question="Nothing.",
    columns=(
        Column("name", "Name", kind=Kind.KEY),
        Column("pid", "Pid", kind=Kind.KEY),
        Column("calls", "Calls", kind=Kind.COUNTER),
        Column("times", "Times", kind=Kind.HISTOGRAM),
        Column("level", "Level"),
        Column("text", "Text"),
    ),
    ladder=(),
)
HOOKS = {"made-up": HOOK}
STATUS = Status(HookId("made-up"), State.ATTACHED, "best")
LEVELS: Mapping[str, tuple[Value, ...]] = {
    "numbers": (0, 1, 255, -3, 1 << 40),
    "large": (0, 1 << 63, (1 << 64) - 1, -(1 << 63)),
    "floats": (0.5, 2.0, -1e300),
    "unknown": (None, 7),
    "any": (None, "x", 7, 0.5, (1, 2), 1 << 70),
}


class Host:
    def __init__(self, seed: int, levels: tuple[Value, ...], width: int) -> None:
        self.dice, self.levels, self.width = random.Random(seed), levels, width
        self.rows: dict[Key, list[Value]] = {}
        for _ in range(150):
            self.bear()

    def bear(self) -> None:
        dice = self.dice
        key = f"worker-{dice.randrange(20)}", dice.choice((None, dice.randrange(90)))
        level, text = dice.choice(self.levels), dice.choice("abc")
        self.rows[key] = [*key, dice.randrange(1 << 50), (0,) * self.width, level, text]

    def work(self, turn: int) -> None:
        dice = self.dice
        for row in self.rows.values():
            if dice.random() < 0.3 and turn % 3:
                row[2] = int(row[2] or 0) + dice.randrange(1 << dice.randrange(1, 40))  # type: ignore[arg-type]
                row[3] = tuple(n + dice.randrange(3) for n in row[3] or ())  # type: ignore[union-attr, misc, operator]
                row[4], row[5] = dice.choice(self.levels), dice.choice("abc\0")
        if turn % 4 == 3:
            for key in dice.sample(list(self.rows), 20):
                self.rows[key] = self.rows.pop(key)  # elsewhere in the order
            for key in dice.sample(list(self.rows), 10):
                del self.rows[key]
            for _ in range(15):
                self.bear()


def _tick(turn: int, rows: Mapping[Key, Row]) -> Tick:
    sample = Sample(STATUS, 100.0 + turn, 1e9 + turn, rows=rows)
    return Tick(1e9 + turn, 1.0, {"made-up": (sample,)}, (STATUS,))


@pytest.mark.parametrize("width", [0, 5, 70])
@pytest.mark.parametrize("levels", LEVELS.values(), ids=LEVELS)
def test_frames_are_the_same_octet_by_octet(levels: tuple[Value, ...], width: int) -> None:
    host, as_rows, as_columns = Host(width, levels, width), Encoder(HOOKS), Encoder(HOOKS)
    decoder = Decoder()
    for turn in range(12):
        host.work(turn)
        rows: dict[Key, Row] = {key: tuple(row) for key, row in host.rows.items()}
        table = RowTable.of_rows(rows.values(), HOOK.places.keys)
        frame = as_columns.encode(_tick(turn, table), key=turn % 6 == 0)
        assert frame == as_rows.encode(_tick(turn, rows), key=turn % 6 == 0)
        (decoded,) = decoder.decode(frame, key=turn % 6 == 0).samples["made-up"]
        assert decoded.rows.keys() == table.keys()


def test_rows_that_become_columns_and_rows_again_are_recorded() -> None:
    host, as_rows, mixed = Host(1, (1, 2), 5), Encoder(HOOKS), Encoder(HOOKS)
    for turn in range(8):
        host.work(turn)
        rows: dict[Key, Row] = {key: tuple(row) for key, row in host.rows.items()}
        given = RowTable.of_rows(rows.values(), HOOK.places.keys) if turn % 3 else rows
        frame = mixed.encode(_tick(turn, given), key=turn == 0)
        assert frame == as_rows.encode(_tick(turn, rows), key=turn == 0)


def test_two_codes_of_one_text_are_no_difference() -> None:
    names = ("a", "b", "a")
    now, before = (CodedCells(np.array(codes), names.__getitem__) for codes in ([0, 1], [2, 0]))
    assert differ(now, before).tolist() == [False, True]
    assert differ(now, cells_of(["a", "x"])).tolist() == [False, True]


@pytest.mark.parametrize("from_zero", [True, False])
@pytest.mark.parametrize("levels", LEVELS.values(), ids=LEVELS)
def test_what_is_noticed_in_columns_is_what_is_noticed_in_rows(
    levels: tuple[Value, ...], from_zero: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bookmarks, "DROPS", (("made-up", "level"),))
    monkeypatch.setattr(bookmarks, "FAILURES", (("made-up", "calls"),))
    host, of_rows, of_columns = Host(3, levels, 2), Bookmarker(HOOKS), Bookmarker(HOOKS)
    found = []
    for turn in range(12):
        host.work(turn)
        rows: dict[Key, Row] = {key: tuple(row) for key, row in host.rows.items()}
        table = RowTable.of_rows(rows.values(), HOOK.places.keys)
        as_rows, as_columns = (
            replace(tick, samples={"made-up": (replace(s, from_zero=from_zero),)})
            for tick in (_tick(turn, rows), _tick(turn, table))
            for (s,) in tick.samples.values()
        )
        found.append(of_rows.moment(as_rows))
        assert of_columns.moment(as_columns) == found[-1]
    assert any(moment.failures for moment in found)


def test_nothing_is_noticed_where_all_rows_have_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bookmarks, "FAILURES", (("made-up", "calls"),))
    host, noticing = Host(3, (1, 2), 2), Bookmarker(HOOKS)
    table = RowTable.of_rows([tuple(row) for row in host.rows.values()], HOOK.places.keys)
    gone = table.at(np.zeros(len(table), bool))
    moments = [noticing.moment(_tick(n, rows)) for n, rows in enumerate((table, gone, table))]
    assert moments[1].failures == 0
    assert moments[2].failures == sum(row[2] for row in table.values())
