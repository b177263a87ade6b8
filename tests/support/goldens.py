"""Screens as text: line by line, and behind each line which cells have which role.

    eth1    312/s  dropped│ bad 9-13 · muted 16-22

Cells are counted from 1. What is in the foreground, on the background, is not named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_textual_snapshot import SVGImageExtension
from rich.cells import set_cell_size
from rich.segment import Segment
from rich.style import Style
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from syrupy.location import PyTestLocation

from tui.config.theme import Theme

Golden = Callable[..., None]
PICTURES = {
    "overview-120x40",
    "connects-160x50",
    "funnel-120x40",
    "rewound-120x40",
    "help",
    "small-36x9",
    "ascii",
    "overview-mono-80x24",
    "theme-light",
    "theme-sixteen",
    "theme-mono",
    "theme-high-contrast",
    "theme-deuteranopia",
    "theme-tritanopia",
}
"""Those that are kept as pictures: how themes look, and what the README shows."""
SCREENS = Path(__file__).parents[2] / "snapshots" / "screens"


class Kept:
    """Files in snapshots/screens/, named by what they show: the test's parameter."""

    @classmethod
    def dirname(cls, **_location: object) -> str:
        return str(SCREENS)

    @classmethod
    def get_snapshot_name(cls, *, test_location: PyTestLocation, **_index: object) -> str:
        # The file's name as well; were the two to differ, each golden would count as unused.
        return (test_location.nodename or "").partition("[")[2].rstrip("]")


class Pictures(Kept, SVGImageExtension):  # type: ignore[misc]
    """Screens as SVG."""


class Texts(Kept, SingleFileSnapshotExtension):
    """Screens as text with roles."""

    _file_extension = "txt"
    _write_mode = WriteMode.TEXT


def tell_roles(patch: pytest.MonkeyPatch) -> None:
    """From now on each style says of which role it was made, and on what ground."""
    plain = Theme.style

    def style(theme: Theme, role: str, ground: str = "") -> Style:
        return plain(theme, role, ground) + Style.from_meta({"roles": (role, ground)})

    patch.setattr(Theme, "style", style)


def painted(app: Any) -> str:
    """What is on the screen, once roles are told."""
    width = app.size.width
    strips = app.screen._compositor.render_strips(app.size)
    return "".join(f"{_line(list(strip), width)}\n" for strip in strips)


def _line(segments: list[Segment], width: int) -> str:
    text = "".join(s.text for s in segments)
    cells: dict[str, list[tuple[int, int]]] = {}
    at = 1
    for segment in segments:
        for look in _looks(segment.style):
            _extend(cells.setdefault(look, []), at, at + segment.cell_length - 1)
        at += segment.cell_length
    if not cells:
        return text.rstrip()
    looks = (f"{look} {','.join(map(_cells, runs))}" for look, runs in cells.items())
    return f"{set_cell_size(text, width)}│ {' · '.join(looks)}"


def _looks(style: Style | None) -> Iterator[str]:
    if style is None:
        return
    if "roles" not in style.meta:  # Textual's own: a toast
        yield f"[{style.without_color + Style(color=style.color, bgcolor=style.bgcolor)}]"
        return
    role, ground = style.meta["roles"]
    if role not in ("", "foreground"):
        yield role
    if ground:
        yield f"on {ground}"


def _extend(runs: list[tuple[int, int]], first: int, last: int) -> None:
    if runs and runs[-1][1] == first - 1:
        first = runs.pop()[0]
    runs.append((first, last))


def _cells(run: tuple[int, int]) -> str:
    first, last = run
    return f"{first}" if first == last else f"{first}-{last}"
