"""Columns are recorded as the same bytes as the rows that they hold."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import replace

import pytest

from probes.arrays import FEW, np
from probes.columns.cells import Cells, CodedCells, NumberCells, TupleCells, cells_of, differ
from probes.columns.row_table import RowTable
from probes.model import Column, Hook, HookId, Key, Kind, Row, Sample, State, Status, Value
from probes.recording import bookmarks
from probes.recording.bookmarks import Bookmarker
from probes.recording.cell_writer import write_cells
from probes.recording.codec import Writer
from probes.recording.decoder import Decoder
from probes.recording.encoder import Encoder, Tick
from tests.support.calls_made import calls_of

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
    "unknown reals": (None, 0.5, -2.0),
    "unknown large": (None, -(1 << 63), (1 << 63) - 1),
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


def test_targets_of_which_some_are_columns_are_recorded_together() -> None:
    hosts = [Host(seed, (None, 1, 2), 5) for seed in range(4)]
    statuses = [replace(STATUS, id=HookId("made-up", f"eth{n}")) for n in range(4)]
    as_rows, mixed = Encoder(HOOKS), Encoder(HOOKS)
    for turn in range(9):
        given: list[list[Sample]] = [[], []]
        for n, (host, status) in enumerate(zip(hosts, statuses, strict=True)):
            host.work(turn)
            rows: dict[Key, Row] = {key: tuple(row) for key, row in host.rows.items()}
            if (turn + n) % 5 == 4:
                rows = {}
            table = RowTable.of_rows(rows.values(), HOOK.places.keys) if rows else rows
            for samples, some in zip(given, (rows, table if (turn + n) % 3 else rows), strict=True):
                samples.append(Sample(status, 100.0 + turn, 1e9 + turn, rows=some))
        ticks = [
            Tick(1e9 + turn, 1.0, {"made-up": tuple(samples)}, tuple(statuses)) for samples in given
        ]
        assert mixed.encode(ticks[1], key=turn == 0) == as_rows.encode(ticks[0], key=turn == 0)


def _some_cells(dice: random.Random, kind: str, number: int) -> Cells:
    known = np.array([dice.random() < 0.8 for _ in range(number)])
    flags = dice.choice((None, known, np.ones(number, bool), np.zeros(number, bool)))
    least, most = dice.choice(((0, 2), (-300, 300), (0, 1 << 63), (-(1 << 63), 1 << 63)))
    numbers = [dice.randrange(least, most) for _ in range(number)]
    match kind:
        case "coded":
            return CodedCells(np.array([n % 3 for n in numbers]), "ab\0".__getitem__, flags)
        case "coded numbers":
            return CodedCells(
                np.array([n % 3 for n in numbers]), (5, 6, 1 << 70).__getitem__, flags
            )
        case "tuples":
            rows = [[abs(n) // 2, 0, 1 << dice.randrange(60)] for n in numbers]
            return TupleCells.narrow(np.array(rows, "u8"), flags)
        case "reals":
            reals = [dice.choice((0.5, -0.0, math.inf, math.nan, 1e300)) for _ in numbers]
            return NumberCells(np.array(reals), flags)
    return NumberCells(np.array(numbers, "i8"), flags)


@pytest.mark.parametrize("seed", range(120))
def test_columns_are_written_as_their_values_are(seed: int) -> None:
    dice = random.Random(seed)
    kinds = ("coded", "coded numbers", "tuples", "reals", "numbers")
    number, kind = dice.choice((1, FEW + 1, FEW + 1, 1100)), dice.choice(kinds)
    now, before = _some_cells(dice, kind, number), _some_cells(dice, kind, number)
    if kind.startswith("coded") or dice.random() < 0.3:
        before = before.with_raw(np.where(before.raw == before.raw[0], now.raw, before.raw), None)
    if isinstance(now, CodedCells) and isinstance(before, CodedCells):
        before.decode = now.decode
    if dice.random() < 0.1:
        before = _some_cells(dice, dice.choice(kinds), number)
    for base in (None, before):
        ours, theirs = Writer(), Writer()
        write_cells(ours, now, base)
        theirs.column(now.values(), None if base is None else base.values())
        assert ours.data == theirs.data


@pytest.mark.parametrize("kind", ["coded", "tuples", "reals", "numbers"])
def test_it_makes_no_call_for_a_value_where_some_are_unknown(kind: str) -> None:
    def calls(number: int) -> int:
        dice, flags = random.Random(1), np.arange(number) % 7 > 0
        now, before = (_some_cells(dice, kind, number) for _ in range(2))
        now = now.with_raw(now.raw, flags)
        return calls_of(lambda: write_cells(Writer(), now, before)).total()

    assert calls(4000) < calls(1000) + 100


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
