"""What is painted can be read, in every theme: WCAG's contrast of each text with its ground.

On a terminal of all colours, and where it shows the nearest of 256 or of sixteen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from rich.color import Color, ColorSystem
from rich.style import Style

from tests.support.stage import playing, settle
from tui.config import theme
from tui.terminal.app_base import TerminalApp

XTERM = {
    n: f"{rgb:06x}"
    for n, rgb in enumerate(
        (
            *(0x000000, 0xCD0000, 0x00CD00, 0xCDCD00, 0x0000EE, 0xCD00CD, 0x00CDCD, 0xE5E5E5),
            *(0x7F7F7F, 0xFF0000, 0x00FF00, 0xFFFF00, 0x5C5CFF, 0xFF00FF, 0x00FFFF, 0xFFFFFF),
        )
    )
}
"""Of those colours that a terminal chooses itself, what xterm has chosen."""
GRAPHS = "─▁▂▃▄▅▆▇█▌▖▗▘▙▚▛▜▝▞▟░▒▓│┤┼▸▲·=-#"
"""What is no text."""
WALK = (
    *(
        "1",
        "2",
        "enter",
        "end",
        "escape",
        "t",
        "D",
        "escape",
        "escape",
        "3",
        "4",
        "enter",
        "escape",
    ),
    *("5", "enter", "escape", "6", "enter", "escape", "7", "enter", "escape", "8", "1", "i"),
    *("escape", "?", "escape", ":", "escape", "/", "e", "t", "h", "escape", "s", "escape", "T"),
    *("escape", "f2", "escape", "p", "escape", "space", "[", "space", "J", "x", "escape", "Z"),
    *("6", "d", "a", "2", "end", "w", "escape", "2", "down", "t", "D", "enter"),
)
"""Panes, details, menus, prompts, a frozen screen, a hint, toasts, a question."""
WITH_COLOURS = [name for name in theme.names() if name != "mono"]
SYSTEMS = (ColorSystem.TRUECOLOR, ColorSystem.EIGHT_BIT), (ColorSystem.STANDARD,)
"""Terminals of many colours, for which a theme has the same ones, and those of sixteen."""


def _luminance(rgb: str) -> float:
    parts = [int(rgb[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _hex(colour: Color | None, usual: str, system: ColorSystem) -> str:
    if colour is None or colour.is_default:
        return usual
    nearest = colour.downgrade(system)
    if nearest.triplet is None and (nearest.number or 0) < len(XTERM):
        return XTERM[nearest.number or 0]
    return nearest.get_truecolor().hex[1:]


def contrast(style: Style, look: theme.Theme, system: ColorSystem) -> float:
    """Of a style, on a terminal as dark as the theme wants it."""
    light = "light" in look.name
    pair = [
        _hex(style.color, "000000" if light else "e5e5e5", system),
        _hex(style.bgcolor, "ffffff" if light else "000000", system),
    ]
    low, high = sorted(map(_luminance, pair))
    return (high + 0.05) / (low + 0.05)


def _least(style: Style, text: str) -> float:
    """What WCAG asks: 4.5 of text; 3 of graphs, and here of the terminal's own grey for notes."""
    grey = style.color is not None and style.color.name == "bright_black"
    return 3.0 if grey or set(text) <= set(GRAPHS + " ") else 4.5


def _painted(app: Any) -> Iterator[tuple[Style, str]]:
    """Texts and their styles; a blank has no colour."""
    for strip in app.screen._compositor.render_strips(app.size):
        for segment in strip:
            if segment.text.strip() and segment.style is not None:
                yield segment.style, segment.text


@pytest.mark.parametrize("systems", SYSTEMS, ids=["many", "sixteen"])
@pytest.mark.parametrize("name", WITH_COLOURS)
async def test_everything_that_is_painted_can_be_read(
    name: str, systems: tuple[ColorSystem, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = ColorSystem.STANDARD in systems
    monkeypatch.setattr(TerminalApp, "has_few_colours", few)
    look, found = theme.load(name), dict[tuple[float, str], str]()
    async with playing(pane="overview", size=(120, 40), theme_name=name, ticks=49) as (app, pilot):
        assert app.look.few == few
        for at, key in enumerate(WALK):
            await pilot.press(key)
            await settle(pilot)
            for style, text in _painted(app):
                seen = min(contrast(style, look, system) for system in systems)
                if seen < _least(style, text):
                    keys = " ".join(WALK[: at + 1][-3:])
                    found.setdefault((round(seen, 1), str(style)), f"{text!r} after {keys}")
    assert not found
