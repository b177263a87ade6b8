"""History as a graph of a few lines, in braille, blocks or ASCII; each line in one style.

One style a line, by its height, keeps a moving graph cheap on the wire.
"""

from __future__ import annotations

from collections.abc import Sequence

from tui.table.lines import Line

# Dots of a braille cell from the bottom up, for its left and its right half.
_LEFT = (0x00, 0x40, 0x44, 0x46, 0x47)
_RIGHT = (0x00, 0x80, 0xA0, 0xB0, 0xB8)
_CELLS = tuple(
    tuple(chr(0x2800 + left + right) if left or right else " " for right in _RIGHT)
    for left in _LEFT
)
_ASCII = " .:|"


def graph(
    values: Sequence[float | None],
    width: int,
    height: int,
    *,
    wrong: bool = False,
    ascii: bool = False,
) -> list[Line]:
    """Draw values, the newest at the right end, the greatest at full height.

    wrong: values other than 0 are bad, so they are coloured by their height. An unknown value
    leaves a gap.
    """
    values = values[-2 * width :]
    top = max((v for v in values if v is not None), default=0)
    if ascii:
        texts = _bars(values[-width:], width, height, top)
    else:
        texts = _braille(values, width, height, top)
    return [Line(((t, _role(y, height) if wrong else "graph1"),)) for y, t in enumerate(texts)]


def _role(y: int, height: int) -> str:
    return "graph3" if y < height // 2 else "graph2"


def _levels(values: Sequence[float | None], steps: int, top: float) -> list[int]:
    """Return each value as a height of 0..steps; any value above 0 shows at least one step."""
    if top <= 0:
        return [0] * len(values)
    # Called for thousands of values a paint: `round` alone, as none is above the greatest.
    return [0 if not v else round(v / top * steps) or 1 if v > 0 else 1 for v in values]


def _braille(values: Sequence[float | None], width: int, height: int, top: float) -> list[str]:
    levels = [0] * (2 * width - len(values)) + _levels(values, height * 4, top)
    pairs = list(zip(levels[::2], levels[1::2], strict=True))
    rows = []
    for y in range(height):
        clip = _clip((height - 1 - y) * 4, 4, height)
        rows.append("".join([_CELLS[clip[a]][clip[b]] for a, b in pairs]))
    return rows


def _bars(values: Sequence[float | None], width: int, height: int, top: float) -> list[str]:
    full = len(_ASCII) - 1
    levels = [0] * (width - len(values)) + _levels(values, height * full, top)
    rows = []
    for y in range(height):
        clip = _clip((height - 1 - y) * full, full, height)
        rows.append("".join([_ASCII[clip[v]] for v in levels]))
    return rows


def _clip(floor: int, full: int, height: int) -> list[int]:
    """Map each level to how much of it is in the line that begins at `floor` and holds `full`."""
    return [0] * floor + list(range(full + 1)) + [full] * (height * full - floor - full)
