"""A case explained on one screen: who, what was counted, what next, the kernel's parameters."""

from __future__ import annotations

import pytest

from tests.support.stage import playing, settle, text

SINCE_CALM = {"pane": "overview", "ticks": 49}


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
async def test_a_case_says_what_to_do_next_and_the_values_of_its_knobs(
    size: tuple[int, int],
) -> None:
    async with playing(size=size, **SINCE_CALM) as (app, pilot):
        row = next(r for r in app.table.rows if "receive buffer" in r.text("what"))
        app.table.select_key(row.key)
        await pilot.press("i")
        await settle(pilot)
        shown = text(app)
        for words in (
            "receive buffer of udp:514 is full", "rsyslogd[811]", "SOCKET_RCVBUFF udp:514",
            "ss -mp 'sport = :514'", "net.core.rmem_max is 212992",
            "rsyslogd -n -iNONE; user syslog; for 168 h",
        ):  # fmt: skip
            assert words in shown, words
        await pilot.press("escape")
        await settle(pilot)
        assert app.place.mode == "pane"


async def test_a_calm_row_has_nothing_to_explain() -> None:
    async with playing(size=(120, 40), **SINCE_CALM) as (app, pilot):
        app.table.select(len(app.table.rows) - 1)
        await pilot.press("i")
        await settle(pilot)
        assert app.place.mode == "pane"
        assert "Explain" not in text(app)
