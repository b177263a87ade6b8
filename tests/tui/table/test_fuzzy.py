"""Why the palette has a matcher of its own: what people type, ranked by ours and by Textual's."""

from __future__ import annotations

import pytest
from textual.fuzzy import FuzzySearch

from tests.support.stage import playing, settle
from tui.table.fuzzy import rank

TYPED = {
    "rtt": "Pane: RTT",
    "attach eth1": "Attach xdp@eth1",
    "eth1 attach": "Attach xdp@eth1",
    "det dro": "Detach drops",
    "drops detach": "Detach drops",
    "dark": "Theme: dark",
    "light theme": "Theme: light",
    "kprobe": "Pin tcp-connect on kprobe",
    "pin drops counters": "Pin drops on counters",
    "pic": "Save a picture of the screen (SVG)",
    "frz": "Freeze the screen, or back to live; counting goes on; in a recording: pause",
    "record": "Start or stop recording to a file",
    "custom": "Attach a custom hook...",
    "drop eth0": "Drop on eth0...",
    "copy": "Copy the row, or the detail",
    "quit": "Quit; everything is detached",
    "save": "Save the last 15 minutes to a file",
    "previous": "Go to the previous pane",
}
"""Letters, and what they are for."""


async def _palette() -> list[str]:
    async with playing(size=(100, 40)) as (app, pilot):
        await pilot.press("ctrl+p")
        await settle(pilot)
        return [row.name for row in app.table.rows]


def _textual(typed: str, names: list[str]) -> str:
    search = FuzzySearch()
    return max(names, key=lambda name: search.match(typed, name)[0])


async def test_ours_finds_what_is_meant_more_often_than_textual_s() -> None:
    names = await _palette()
    missing = [name for name in TYPED.values() if name not in names]
    assert missing == []
    ours = [t for t, name in TYPED.items() if rank(t, names, lambda n: (n,))[0] == name]
    theirs = [t for t, name in TYPED.items() if _textual(t, names) == name]
    assert len(ours) > len(theirs)
    assert len(ours) == len(TYPED)


@pytest.mark.parametrize("typed", ["eth1 attach", "drops detach", "light theme"])
def test_textual_s_takes_words_in_their_order_alone(typed: str) -> None:
    name = " ".join(reversed(typed.split()))
    assert rank(typed, [name], lambda n: (n,)) == [name]
    assert FuzzySearch().match(typed, name)[0] == 0
