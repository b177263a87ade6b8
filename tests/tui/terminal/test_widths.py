"""Names in characters that terminals show in other widths than tables say move nothing."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
from rich.console import Console
from rich.segment import Segment
from textual._compositor import LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from tests.support.screens import Screen
from tui.table.lines import fit
from tui.terminal.driver import Brush, whole

NAMES = (
    "ab\u26a0\ufe0fcd", "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7x", "e\u0301\u0302x",
    "\u65e5\u672c", "1\ufe0f\u20e3", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u26a0\u26a0",
    "plain", "\u0e01\u0e33", "\u00e9\u00df",
)  # fmt: skip


def _narrow(_character: str) -> int:
    return 1


def _wide(character: str) -> int:
    return 1 if character.isascii() else 2


def _joining(character: str) -> int:
    return 0 if unicodedata.category(character) in ("Mn", "Me", "Cf") else 1


@pytest.mark.parametrize("width", [_narrow, _wide, _joining])
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_numbers_beside_a_name_are_as_they_are(width: Callable[[str], int], name: str) -> None:
    """Painted anew over what was there, as a whole or in parts."""
    screen, console = Screen(width), Console(color_system=None)
    cells = f"{fit(name, 20)} {'4.3':>6} {'127us':>8}"
    for before in ("x" * 36, cells):
        brush = Brush(console)
        brush.put(0, 0, before, None)
        screen.feed(brush.text())
    assert screen.row(0, 20, 36) == "    4.3    127us"
    brush = Brush(console)
    brush.put(22, 0, "  11.9", None)
    brush.put(0, 0, fit(name, 20), None)
    brush.put(28, 0, "     9ms", None)
    screen.feed(brush.text())
    assert screen.row(0, 20, 36).strip().split() == ["11.9", "9ms"]


@pytest.mark.parametrize("width", [_narrow, _wide, _joining])
def test_a_whole_screen_is_placed_as_well(width: Callable[[str], int]) -> None:
    """Each row begins where it belongs, and so do its numbers."""
    rows = [Strip([Segment(fit(name, 20)), Segment(f"{n:>6}")]) for n, name in enumerate(NAMES)]
    update = LayoutUpdate([[row] for row in rows], Region(0, 0, 26, len(rows)))
    screen = Screen(width)
    screen.feed(whole(update, Console(color_system=None)))
    for n in range(len(rows)):
        assert screen.row(n, 20, 26) == f"{n:>6}"
