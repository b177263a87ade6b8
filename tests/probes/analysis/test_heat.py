"""Heat over time: what each few seconds added to a histogram, in bounded memory."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest

from probes import units
from probes.analysis import heat as heat_module
from probes.analysis.heat import SLOT_SECONDS, SLOTS, Heat, HeatSlot
from probes.analysis.known_rows import MAX_GONE
from probes.analysis.snapshot import Snapshot
from probes.columns.row_table import RowTable
from probes.hooks import catalogue
from probes.model import HookId, Key, Row, Sample, State, Status
from tests.support.amounts import amounts
from tests.support.plain_heat import PlainHeat
from tests.support.stage import playing, settle, step, text
from tui.table.lines import width_of
from tui.widgets.heat_map import heat_map

HOOK = catalogue()["tcp-rtt"]
ID = HookId("tcp-rtt")
_PLACE = HOOK.places.names.index("rtt")


def _add(
    heat: Heat | PlainHeat,
    wall: float,
    rows: Mapping[int, tuple[int, ...]],
    epoch: int = 1,
    zero: bool = True,
    as_columns: bool = False,
) -> None:
    def row(buckets: tuple[int, ...]) -> Any:
        return tuple(buckets if i == _PLACE else 0 for i in range(len(HOOK.stored)))

    kept: Mapping[Key, Row] = {(k,): (k, *row(b)[1:]) for k, b in rows.items()}
    if as_columns:
        kept = RowTable.of_rows(kept.values(), (0,))
    sample = Sample(Status(ID, State.ATTACHED), wall, wall, epoch, kept, from_zero=zero)
    heat.add((Snapshot(HOOK, sample, 1.0, ()),))


def _hits(heat: Heat | PlainHeat, key: int, until: float = 1e9) -> list[Mapping[int, int]]:
    return [slot.hits for slot in heat.of(ID, "rtt", (key,), until)]


def test_a_slot_has_what_was_added_in_it() -> None:
    """To the last hit, and an idle slot is an empty one."""
    heat = Heat()
    for second in range(26):
        busy = second <= 5 or second > 15
        hits = min(second, 5) + max(second - 15, 0)
        _add(heat, second, {1: (10, hits if busy else 5, 0), 2: (7, 7, 7)})
    assert _hits(heat, 1) == [{1: 5}, {}, {}, {1: 5}, {1: 5}]
    assert _hits(heat, 2) == []
    assert [s.wall for s in heat.of(ID, "rtt", (1,), 1e9)] == [0, 5, 10, 15, 20]


def test_the_past_has_only_what_had_ended_then() -> None:
    """A slot that goes on is not shown."""
    heat = Heat()
    for second in range(31):
        _add(heat, second, {1: (second, 0)})
    assert len(_hits(heat, 1, 30)) == 6
    assert len(_hits(heat, 1, 29)) == 5
    assert len(_hits(heat, 1, 11)) == 2


def test_a_row_that_comes_later_begins_at_zero_where_that_is_known() -> None:
    """Else what it has had before is nobody's slot."""
    for zero, expected in ((True, [{0: 9}]), (False, [])):
        heat = Heat()
        _add(heat, 0, {}, zero=zero)
        _add(heat, 5, {1: (9, 0)}, zero=zero)
        assert _hits(heat, 1) == expected


def test_counting_anew_is_no_heat() -> None:
    """Another epoch begins with what it finds; a histogram that went back counts from zero."""
    heat = Heat()
    _add(heat, 0, {1: (100, 0)})
    _add(heat, 5, {1: (3, 0)}, epoch=2)
    assert _hits(heat, 1) == []
    _add(heat, 10, {1: (7, 0)}, epoch=2)
    _add(heat, 15, {1: (2, 0)}, epoch=2)
    assert _hits(heat, 1) == [{0: 4}, {0: 2}]


def test_rows_and_slots_are_bounded() -> None:
    """A quarter of an hour of a row, and no more rows that went than `MAX_GONE`."""
    heat = Heat()
    for n in range(2 * SLOTS):
        _add(heat, n * SLOT_SECONDS, {1: (n, n, n)})
    assert len(_hits(heat, 1)) == SLOTS
    histograms = heat._hooks[ID].histograms["rtt"]
    assert sum(len(added) for _, _, added in histograms._added) <= 3 * 3 * SLOTS
    for n in range(60):
        _add(heat, 1e5 + n * SLOT_SECONDS, {1000 * n + k: (1,) for k in range(200)})
    assert histograms.rows.number <= MAX_GONE + 2 * 200


def _texts(slots: list[HeatSlot], width: int, *, ascii: bool = False) -> list[str]:
    lines = heat_map(slots, width, units.duration, ascii=ascii)
    return ["".join(t for t, _ in row.spans) for row in lines]


def test_the_map_has_a_line_for_each_bucket_the_greatest_on_top() -> None:
    """A gap is news; shades grow with the hits; the last line is the time."""
    slots = [HeatSlot(60, {10: 1, 13: 900}), HeatSlot(65, {}), HeatSlot(70, {13: 30})]
    rows = _texts(slots, 60, ascii=True)
    assert [row.split()[0] for row in rows[:4]] == ["8.2us+", "4.1us+", "2.0us+", "1.0us+"]
    assert rows[0][10:22] == "####    ++++"
    assert rows[3][10:22].rstrip() == "...."
    assert rows[1][10:].strip() == ""
    assert rows[4].split()[:2] == ["00:01:00", "00:01:15"]
    assert "5 s a column" in rows[5]
    assert all(row.isascii() for row in rows)


@pytest.mark.parametrize("width", [20, 60, 80, 200])
def test_the_map_fits_any_width(width: int) -> None:
    """Neighbours are added up where there are more slots than cells."""
    slots = [HeatSlot(float(n * SLOT_SECONDS), {n % 7 + 3: n + 1}) for n in range(SLOTS)]
    rows = _texts(slots, width)
    assert max(width_of(row) for row in rows[:-2]) <= max(width, 20)
    assert f"{-(-SLOTS // max(width - 11, 8)) * SLOT_SECONDS} s a column" in rows[-1]


def test_a_map_of_nothing_says_so() -> None:
    """No slot, and slots without hits."""
    assert "nothing" in _texts([], 80)[0]
    assert "nothing" in _texts([HeatSlot(0, {})], 80)[0]


async def test_details_show_heat_and_the_related_rows_of_other_panes() -> None:
    """A connection's process and interface; an interface's connections; a process's others."""
    async with playing(size=(120, 120), ticks=49) as (app, pilot):
        await pilot.press("5", "enter")
        await settle(pilot)
        shown = text(app)
        assert "Round trips, over time" in shown
        assert "5 s a column" in shown
        assert "Interface     eth0" in shown
        assert "rsync (pid 30400): connects" in shown
        await pilot.press("escape", "4", "enter")
        await settle(pilot)
        assert "Time to establish, checkout[2311] in shop-checkout, over time" in text(app)
        await pilot.press("escape", "X", "enter")
        await settle(pilot)
        assert "Time to establish, over time" in text(app)
        assert "checkout (pid 2311): connects" in text(app)
        assert "checkout (pid 2311): connections" in text(app)
        await pilot.press("escape", "X", "2", "slash", *"eth0", "enter", "home", "enter")
        await settle(pilot)
        assert "Through eth0: connections" in text(app)
        assert "203.0.113.77:873  rsync[30400]" in text(app)


async def test_a_syscall_s_detail_has_its_callers_connections() -> None:
    """Of the process that makes it most."""
    async with playing(size=(120, 120), ticks=49) as (app, pilot):
        await pilot.press("3", "slash", *"connect", "enter", "enter")
        await settle(pilot)
        await step(pilot, 6)
        shown = text(app)
        assert "nginx (pid 1184): connects" in shown
        assert "Time in the call, over time" in shown


@pytest.mark.parametrize("few", [0, 60, 1000])
@pytest.mark.parametrize("zero", [True, False])
@amounts("every", quick=297, slow=60)
def test_columns_give_the_same_heat_as_rows(
    every: int, zero: bool, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that come, go, come back, begin again and stand still, and large numbers."""
    monkeypatch.setattr(heat_module, "FEW", few)
    dice, plain, columns = random.Random(3), PlainHeat(), Heat()
    counts = {n: [0, 0, 0] for n in range(100)}
    gone: dict[int, list[int]] = {}
    for second in range(0, SLOT_SECONDS * SLOTS * 2, 3):
        for key in dice.sample(list(counts), min(len(counts), dice.randrange(10))):
            gone[key] = counts.pop(key)
        for key in dice.sample(list(gone), max(len(gone) - dice.randrange(20, 70), 0)):
            kept = gone.pop(key)
            counts[key] = kept if dice.random() < 0.5 else [0, 0, 0]
        for key in dice.sample(list(counts), min(len(counts), 20)):
            counts[key][dice.randrange(3)] += dice.choice((0, 1, 4, 400, 70_000, 1 << 33))
        rows = {key: tuple(hits) for key, hits in counts.items()}
        epoch = 1 if second < 2 * SLOT_SECONDS * SLOTS - 400 else 2
        _add(plain, second, rows, epoch, zero=zero)
        _add(columns, second, rows, epoch, zero=zero, as_columns=True)
        if second % every == 0:
            _same(columns, plain)
    _same(columns, plain)
    assert any(_hits(columns, key) for key in counts)


def _same(heat: Heat, plain: PlainHeat) -> None:
    for key in range(100):
        assert _hits(heat, key) == _hits(plain, key)
