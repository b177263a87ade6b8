"""History as a graph of a few lines, in braille, blocks or ASCII; each line in one style.

One style a line, by its height, is what keeps a moving graph cheap on the wire.
"""

from __future__ import annotations

from collections.abc import Sequence

from tui.lines import Line

# Dots of a braille cell from the bottom up, for its left and its right half.
_LEFT = (0x00, 0x40, 0x44, 0x46, 0x47)
_RIGHT = (0x00, 0x80, 0xA0, 0xB0, 0xB8)
_ASCII = " .:|"


def graph(
    values: Sequence[float | None],
    width: int,
    height: int,
    *,
    wrong: bool = False,
    ascii: bool = False,
) -> list[Line]:
    """The newest values at the right end, the greatest at the full height.

    wrong: the numbers say that something is wrong, so they are coloured by how high they stand.
    A value that is not known leaves a gap.
    """
    values = values[-2 * width :]
    top = max((v for v in values if v is not None), default=0)
    if ascii:
        texts = _bars(values[-width:], width, height, top, _ASCII)
    else:
        texts = _braille(values, width, height, top)
    return [Line(((t, _role(y, height) if wrong else "graph1"),)) for y, t in enumerate(texts)]


def _role(y: int, height: int) -> str:
    return "graph3" if y < height // 2 else "graph2"


def _levels(values: Sequence[float | None], steps: int, top: float) -> list[int]:
    """Each value as a height of 0..steps; what is there at all shows at least one step."""
    if top <= 0:
        return [0] * len(values)
    return [0 if not v else min(max(round(v / top * steps), 1), steps) for v in values]


def _braille(values: Sequence[float | None], width: int, height: int, top: float) -> list[str]:
    levels = _levels(values, height * 4, top)
    levels = [0] * (2 * width - len(levels)) + levels
    rows = []
    for y in range(height):
        floor = (height - 1 - y) * 4
        cut = [min(max(level - floor, 0), 4) for level in levels]
        pairs = zip(cut[::2], cut[1::2], strict=True)
        rows.append(
            "".join(chr(0x2800 + _LEFT[a] + _RIGHT[b]) if a or b else " " for a, b in pairs)
        )
    return rows


def _bars(
    values: Sequence[float | None], width: int, height: int, top: float, steps: str
) -> list[str]:
    full = len(steps) - 1
    levels = _levels(values, height * full, top)
    levels = [0] * (width - len(levels)) + levels
    return [
        "".join(steps[min(max(v - (height - 1 - y) * full, 0), full)] for v in levels)
        for y in range(height)
    ]
