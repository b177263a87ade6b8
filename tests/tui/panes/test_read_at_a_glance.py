"""Each case is read off a small screen: what, where, who, how much of all, and since when."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from probes.analysis.cases import judgement
from probes.analysis.cases.claim import Claim, Evidence, Gravity, Who
from probes.analysis.cases.detector import Detector
from probes.analysis.facts import Facts
from probes.units import Unit
from tests.support.stage import playing, settle, step, text
from tui.screen.leases import Leases


class Told(NamedTuple):
    """A case of the demo. onset: the second in which it begins."""

    what: str
    who: str
    share: str
    onset: int


DEMO = (
    Told("XDP xdp_filter#412 drops at eth1", r"filterd\[1502\]", r"\d+%", 24),
    Told("receive buffer of udp:514 is full", r"rsyslogd\[811\]", r"[\d.]+%", 24),
    Told("203.0.113.77:873 slow round trip", r"rsync\[30400\]", r"[\d.]+x", 29),
    Told("10.0.0.5:5432: (refused|no answer)", r"checkout\[2311\]", r"\d+%", 27),
    Told("fsync is slow", r"rsyslogd\[811\]", r"[\d.]+x", 31),
    Told("openat fails with ENOENT", r"nginx\[1184\]", r"[\d.]+%", 27),
)
SOON = 5
"""Seconds from its beginning in which all of it is on the screen."""


async def _shown(app: Any, pilot: Any, told: Told) -> bool:
    """Go to its row, and read the screen."""
    rows = [str(row.values["what"]) for row in app.table.rows]
    at = next((n for n, what in enumerate(rows) if re.match(told.what, what)), None)
    if at is None:
        return False
    await pilot.press("home", *["down"] * at)
    await settle(pilot)
    lines = text(app).splitlines()
    n = next(n for n, line in enumerate(lines) if re.match(f"▸[!~]{told.what}", line))
    first = re.search(rf"\s{told.share}\s.*\s00:00:{told.onset}  \d+ s ago", lines[n])
    return bool(first and re.search(told.who, lines[n + 1]))


async def test_each_case_of_the_demo_is_read_within_seconds() -> None:
    """At 80x24, with nothing but the arrow keys, whatever else goes on."""
    seen: dict[Told, int] = {}
    async with playing(until=22, ticks=21, pane="overview", size=(80, 24)) as (app, pilot):
        for second in range(23, 37):
            await step(pilot)
            Leases.tend(app.leases)
            for told in DEMO:
                if told not in seen and await _shown(app, pilot, told):
                    seen[told] = second
    late = [t.what for t in DEMO if seen.get(t, 99) > t.onset + SOON]
    assert not late


def _odd(_: Facts) -> Sequence[Claim]:
    where = "[2001:db8:85a3:8d3:1319:8a2e:370:7348]:65535"
    return (
        Claim(
            "tcp-connect/odd", Gravity.ALARM, f"{where}: no answer", 9.0, Unit.COUNT, "connects",
            share=0.98, of="connects", who=(Who("a-very-long-command-name", 4194304),),
            evidence=(Evidence("tcp-connect", f"{'x' * 60} by a-very-long-command-name[4194304]"),),
        ),
    )  # fmt: skip


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 40), (200, 60)])
async def test_nothing_long_eats_who_or_share(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judgement, "DETECTORS", (Detector("odd", (), _odd),))
    async with playing(pane="overview", size=size, until=20, ticks=19) as (app, _):
        lines = text(app).splitlines()
        n = next(n for n, line in enumerate(lines) if line.startswith("▸!"))
        assert "98%" in lines[n]
        assert "a-very-long-command-name[4194304]" in lines[n] + lines[n + 1]
