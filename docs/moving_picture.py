"""The README's moving picture: the demo's tour, chapter by chapter, as one SVG that moves by CSS.

`python -m docs.moving_picture` writes docs/tour.svg. The demo's clock stands still while a
frame is taken, so the same code makes the same picture; `make release-check` compares.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

from probes.sources.demo.source import START
from tests.support.stage import settle, stage
from tui.screen.actions import tour as tour_actions
from tui.screen.tour import BEGIN, CHAPTERS, Tour

FILE = Path(__file__).with_name("tour.svg")
SIZE = (90, 26)
SECONDS = 5.0
"""Time of a frame."""
_FIRST = 5
"""Readings before the first frame."""
_AFTER = 4
"""Readings after a chapter's keys: what they attach has its first numbers then."""


async def frames() -> list[str]:
    """Return the screen at each chapter, as SVG."""
    tour_actions._LOOK, tour_actions._PRESS = 0.02, 0.0
    tour_actions.TourActions._is_time = lambda tour: tour._place < 0  # type: ignore[method-assign]
    tour = Tour(START + BEGIN)
    app = stage(until=BEGIN + _FIRST - 1, ticks=int(BEGIN) + _FIRST, pane=None, tour=tour)
    taken = []
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        for chapter in CHAPTERS:
            ticks = int(chapter.at) + _FIRST - _AFTER - app.pace.steps  # type: ignore[attr-defined]
            for _ in range(ticks):
                await asyncio.sleep(2 * tour_actions._LOOK)  # the tour looks at each reading
                app.pace.go(1)  # type: ignore[attr-defined]
                await settle(pilot)
            if chapter is not CHAPTERS[0]:
                await pilot.press("n")
            for _ in range(_AFTER):
                await asyncio.sleep(0.1)
                app.pace.go(1)  # type: ignore[attr-defined]
                await settle(pilot)
            taken.append(app.picture())
        app.exit()
    return taken


def moving(pictures: Sequence[str], seconds: float = SECONDS) -> str:
    """Return one SVG: the first picture, and over it the others, each in its time.

    Where nothing moves (a printer), the first one is seen.
    """
    box = re.search(r'viewBox="([^"]+)"', pictures[0])
    assert box is not None
    share = 100 / len(pictures)
    style = (
        f".f{{opacity:0;animation:f {len(pictures) * seconds:g}s infinite step-end}}"
        f"@keyframes f{{0%{{opacity:1}}{share:.4f}%{{opacity:0}}}}"
    )
    layers = [_inner(pictures[0])]
    for place, picture in enumerate(pictures[1:], 1):
        delay = f"animation-delay:{place * seconds:g}s"
        layers.append(f'<g class="f" style="{delay}">{_inner(picture)}</g>')
    head = f'<svg viewBox="{box[1]}" xmlns="http://www.w3.org/2000/svg"><style>{style}</style>'
    return "\n".join([head, *layers, "</svg>\n"])


def _inner(picture: str) -> str:
    """Return what is in an SVG, without fonts that would be fetched from elsewhere."""
    inside = re.sub(r"^.*?<svg[^>]*>|</svg>\s*$", "", picture, flags=re.DOTALL)
    return re.sub(r"@font-face\s*\{[^}]*\}", "", inside)


def made() -> str:
    """Return the picture as the tour of this tree makes it."""
    return moving(asyncio.run(frames()))


if __name__ == "__main__":
    FILE.write_text(made())
