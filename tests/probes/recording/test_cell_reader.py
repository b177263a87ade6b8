"""Many rows are decoded into columns, to the values that rows are decoded to, and as carefully."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pytest

from probes.arrays import np
from probes.columns.cells import cells_of, replaced
from probes.columns.row_table import RowTable
from probes.model import Sample, Value
from probes.recording import decoder, read_tables
from probes.recording.cell_reader import read_order, weight
from probes.recording.codec import Malformed, Reader, Writer
from probes.recording.codec import cells_of as cells_of_value
from probes.recording.compat import SchemaAdapter
from probes.recording.decoder import Decoder
from probes.recording.encoder import Encoder, Layout, Tick
from tests.probes.recording.test_cell_writer import HOOK, HOOKS, LEVELS, STATUS, Host
from tests.support.amounts import amounts
from tests.support.calls_made import calls_made

EVERY = 6
"""Frames from one key frame to the next."""


@contextmanager
def _few(number: int) -> Iterator[None]:
    """So many rows are few."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder, "FEW", number)
        patch.setattr(read_tables, "FEW", number)
        yield


def _frames(levels: tuple[Value, ...], width: int, turns: int = 12) -> list[bytes]:
    host, encoder, frames = Host(width, levels, width), Encoder(HOOKS), []
    for turn in range(turns):
        host.work(turn)
        rows = {key: tuple(row) for key, row in host.rows.items()}
        sample = Sample(STATUS, 100.0 + turn, 1e9 + turn, rows=rows)
        tick = Tick(1e9 + turn, 1.0, {"made-up": (sample,)}, (STATUS,))
        frames.append(encoder.encode(tick, key=turn % EVERY == 0))
    return frames


def _decoded(frames: Sequence[bytes], few: int) -> list[Tick | str]:
    """Each moment, or why it cannot be read."""
    decoding, found = Decoder(1 << 20), list[Tick | str]()
    with _few(few):
        for n, frame in enumerate(frames):
            try:
                found.append(decoding.decode(frame, key=n % EVERY == 0))
            except Malformed as why:
                found.append(str(why))
    return found


def _same(ours: Tick | str, theirs: Tick | str) -> bool:
    if isinstance(ours, str) or isinstance(theirs, str):
        return ours == theirs
    rows = [
        [(k, r, [*map(type, r)]) for s in samples for k, r in s.rows.items()]
        for tick in (ours, theirs)
        for samples in tick.samples.values()
    ]
    return rows[0] == rows[1]


@pytest.mark.parametrize("width", [0, 5, 70])
@pytest.mark.parametrize("levels", LEVELS.values(), ids=LEVELS)
def test_columns_hold_what_rows_hold(levels: tuple[Value, ...], width: int) -> None:
    frames = _frames(levels, width)
    as_columns, as_rows = _decoded(frames, 0), _decoded(frames, 1 << 20)
    for tables, rows in zip(as_columns, as_rows, strict=True):
        assert isinstance(tables, Tick)
        assert isinstance(rows, Tick)
        assert isinstance(tables.samples["made-up"][0].rows, RowTable)
        assert not isinstance(rows.samples["made-up"][0].rows, RowTable)
        assert _same(tables, rows)


def test_rows_that_grow_many_and_few_again_stay_the_same() -> None:
    frames = _frames((None, 7), 3, turns=24)
    assert all(map(_same, _decoded(frames, 147), _decoded(frames, 1 << 20)))


@amounts("rounds", quick=20, slow=150)
@pytest.mark.parametrize("levels", LEVELS.values(), ids=LEVELS)
def test_what_nobody_wrote_is_refused_as_in_rows(levels: tuple[Value, ...], rounds: int) -> None:
    dice, frames = random.Random(5), _frames(levels, 2)
    for _ in range(rounds):
        bad = [bytearray(frame) for frame in frames]
        for _ in range(dice.randrange(1, 4)):
            frame = bad[dice.randrange(len(bad))]
            frame[dice.randrange(40, len(frame))] = dice.randrange(256)
        # In columns a key is read from its row, so two rows that come to have one key are one.
        for ours, theirs in zip(_decoded(bad, 0), _decoded(bad, 1 << 20), strict=True):
            if isinstance(ours, Tick) and isinstance(theirs, Tick) and not _keys_stay(theirs):
                break
            assert _same(ours, theirs)
            if isinstance(ours, str):
                break


def _keys_stay(tick: Tick) -> bool:
    rows = tick.samples["made-up"][0].rows if "made-up" in tick.samples else {}
    return all(key == row[:2] for key, row in rows.items())


@pytest.mark.parametrize("there", [1, 40])
def test_orders_are_read_as_they_were_written(there: int) -> None:
    dice = random.Random(there)
    for _ in range(300):
        places = [dice.choice((0, 0, n % there + 1)) for n in range(dice.randrange(1, 60))]
        if dice.random() < 0.5:
            dice.shuffle(places)
        last, steps = 0, []
        for place in places:
            steps.append(place - last - 1)
            last = place or last
        out = Writer()
        out.column(steps, None)
        read = read_order(Reader(bytes(out.data)), len(steps), there)
        assert read.tolist() == places


@pytest.mark.parametrize("steps", [[40], [0, -3], [3, -9], [1 << 62], [-(1 << 62), 1 << 62]])
def test_a_place_that_was_not_there_is_damage(steps: list[int]) -> None:
    out = Writer()
    out.column(steps, None)
    with pytest.raises(Malformed):
        read_order(Reader(bytes(out.data)), len(steps), 40)


COLUMNS: Mapping[str, Sequence[Value]] = {
    "numbers": (0, -5, -6, 256, 257),
    "unknown": (None, 3, 1000, None, 0),
    "floats": (0.5, 0.0, 1.0, 2.0, 3.0),
    "tuples": ((1, 2), (0, 300), (0, 0), (4, 5), (6, 7)),
    "texts": ("", "long enough to count", "x", "y", "z"),
    "any": ("x", None, 7, (1,), 0.5),
}


@pytest.mark.parametrize("values", COLUMNS.values(), ids=COLUMNS)
def test_columns_weigh_what_their_values_weigh(values: Sequence[Value]) -> None:
    assert weight(cells_of(values)) == sum(map(cells_of_value, values))


@pytest.mark.parametrize("fresh", COLUMNS.values(), ids=COLUMNS)
@pytest.mark.parametrize("values", COLUMNS.values(), ids=COLUMNS)
def test_cells_are_replaced_by_any(values: Sequence[Value], fresh: Sequence[Value]) -> None:
    for places in ([4, 1], [0, 2, 3], [1]):
        made = replaced(cells_of(values), np.array(places), cells_of(fresh[: len(places)]))
        wanted = list(values)
        for place, value in zip(places, fresh, strict=False):
            wanted[place] = value
        assert made.values() == wanted
        assert [*map(type, made.values())] == [*map(type, wanted)]


def test_columns_of_another_version_are_fitted_without_rows() -> None:
    """A level that is a text, as in no catalogue of ours, is not known here; the rest is."""
    (tick, *_) = _decoded(_frames(("x", None), 2), 0)
    assert isinstance(tick, Tick)
    layout = Layout(("name", "pid", "was", "times", "level", "text"), (0, 1), ())
    (sample,) = tick.samples["made-up"]
    (fitted,) = SchemaAdapter(HOOKS).tick(tick, {"made-up": layout}).samples["made-up"]
    assert isinstance(fitted.rows, RowTable)
    assert list(fitted.rows) == list(sample.rows)
    place = HOOK.places.names.index("calls")
    assert {row[place] for row in fitted.rows.values()} == {None}


def _growing(rows: int) -> list[bytes]:
    """Frames of so many rows, of which a third counts, a few come, and a few go."""
    encoder, frames = Encoder(HOOKS), []
    for turn in range(4):
        made = {
            (f"w{n}", n): (f"w{n}", n, n + turn * (n % 3 == 0), (n % 7, turn), 1, "x")
            for n in range(5 * turn, rows + 5 * turn)
        }
        sample = Sample(STATUS, 100.0 + turn, 1e9 + turn, rows=made)
        tick = Tick(1e9 + turn, 1.0, {"made-up": (sample,)}, (STATUS,))
        frames.append(encoder.encode(tick, key=turn == 0))
    return frames


def test_as_many_calls_decode_more_rows() -> None:
    calls = []
    for rows in (1000, 4000):
        decoding, frames = Decoder(1 << 20), _growing(rows)
        for n, frame in enumerate(frames[:-1]):
            decoding.decode(frame, key=n == 0)
        calls.append(calls_made(lambda: decoding.decode(frames[-1], key=False)))  # noqa: B023
    assert calls[1] < calls[0] + 40


def test_tables_are_equal_whatever_the_order_of_their_rows() -> None:
    rows = [("a", 1, 5, (1,), None, "x"), ("b", 2, 6, (2,), 3, "y")]
    tables = [RowTable.of_rows(made, (0, 1)) for made in (rows, rows, rows[::-1], rows[:1])]
    assert tables[0] == tables[1] == tables[2]
    assert tables[0] != tables[3]
    assert tables[0] == {row[:2]: row for row in rows}
    assert tables[0] != RowTable.of_rows([rows[0], (*rows[1][:5], "z")], (0, 1))
