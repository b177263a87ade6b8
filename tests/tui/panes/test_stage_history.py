"""When packets were lost at each stage of the packet path, from what is kept of each counter."""

from __future__ import annotations

import re
from typing import Any

import pytest

from probes.analysis.funnel import funnel
from probes.analysis.hit_rates import by_stage
from tests.support.stage import playing, settle, step, text
from tui.panes.interfaces import packet_path
from tui.panes.interfaces.packet_path import Path
from tui.panes.interfaces.stage_history import stage_history

CALM_FIRST = {"ticks": 49, "pane": "interfaces"}
LEVELS = "▁▂▃▄▅▆▇█"


def _stage(shown: str, name: str) -> str:
    return next(row for row in shown.splitlines() if re.search(f"^ [!~ ] (in|out)? +{name} ", row))


async def _open(app: Any, pilot: Any, interface: str, *keys: str) -> str:
    app.table.select([r.name for r in app.table.rows].index(interface))
    for key in ("enter", *keys):
        await pilot.press(key)
        await settle(pilot)
    return text(app)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids=lambda s: f"{s[0]}")
async def test_a_stage_shows_since_when_it_loses_packets(size: tuple[int, int]) -> None:
    """Low before the flood, high since; a flat line where nothing was ever lost."""
    async with playing(size=size, **CALM_FIRST) as (app, pilot):
        shown = await _open(app, pilot, "eth1")
        head = next(row for row in shown.splitlines() if " Lost/s " in row)
        assert re.search(r"Lost/s -2m +now ", head)
        for name, flat in (("XDP", False), ("socket", False), ("stack", True)):
            row = _stage(shown, name)
            past = row[head.index("-2m") : head.index("now") + 3]
            assert set(past) <= set(LEVELS + " "), row
            assert past.strip()[0] in "▁▂"  # nothing or a little
            assert (past[-1] == "▁") is flat, row
            assert flat or past[-1] in "▆▇█", row
        assert head.index("Total") + 5 == _stage(shown, "XDP").index("122k") + 4


async def test_a_narrow_screen_keeps_numbers_and_names() -> None:
    async with playing(size=(60, 24), **CALM_FIRST) as (app, pilot):
        shown = await _open(app, pilot, "eth1")
        assert "-2m" not in shown.partition("lost/s, now")[0]
        assert re.search(r"XDP .* 6\.6k +122k +xdp_filter#412", shown)


async def test_every_number_has_the_history_too() -> None:
    async with playing(size=(120, 40), **CALM_FIRST) as (app, pilot):
        shown = await _open(app, pilot, "eth1", "X")
        head = next(row for row in shown.splitlines() if "lost/s " in row and "ordinary" in row)
        row = next(row for row in shown.splitlines() if row.startswith(" ! XDP   "))
        past = row[head.index("-2m") : head.index("now") + 3]
        assert past.strip()[0] == "▁"
        assert past[-1] in "▆▇█"


async def test_histories_end_with_what_the_path_says_now() -> None:
    """Of every interface and stage, within what readings differ by."""
    async with playing(size=(120, 40), **CALM_FIRST) as (app, pilot):
        await step(pilot, 3)
        view = app.session.view
        for record in app.table.rows:
            snapshots = {hook: view.of(hook) for hook in packet_path._HOOKS}
            ours = by_stage(view.dropping, record.name)
            past = stage_history(view, record, 120.0, 120)
            for stage in funnel(snapshots, record.name, view.since, ours):
                if stage.lost is None or not (now := stage.lost.per_s):
                    continue
                latest = past[stage.name][-1]
                assert latest is not None, (record.name, stage.name)
                assert abs(latest - now) <= max(0.1 * now, 1), (record.name, stage.name)


async def test_the_past_is_shown_as_it_was() -> None:
    """Frozen and gone back, before the flood, nothing is high yet."""
    async with playing(size=(120, 40), **CALM_FIRST) as (app, pilot):
        await pilot.press("space", *["left_square_bracket"] * 28)
        await settle(pilot)
        shown = await _open(app, pilot, "eth1")
        head = next(row for row in shown.splitlines() if " Lost/s " in row)
        past = _stage(shown, "XDP")[head.index("-2m") : head.index("now") + 3]
        assert set(past.strip()) == {"▁"}


async def test_what_is_asked_for_is_what_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without space for them, no history of a stage is put together."""
    async with playing(size=(60, 24), **CALM_FIRST) as (app, pilot):
        asked: list[str] = []
        monkeypatch.setattr(packet_path, "stage_history", lambda *_: asked.append("") or {})
        await _open(app, pilot, "eth1")
        assert not asked
        record, view = app.place.opened, app.session.view
        assert Path.of(view, record.name).table(record, 80)
        assert asked
