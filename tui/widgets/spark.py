"""A history in one line of a few cells: each as high as the greatest value of its part."""

from __future__ import annotations

from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII = "_.-=+*#@"


def spark(values: Sequence[float | None], width: int, most: int, *, ascii: bool = False) -> str:
    """Draw the latest `most` values in that many cells, the newest at the right end.

    0 is the lowest step and has it for itself; what is not known leaves a gap.
    """
    if width < 1:
        return ""
    steps = _ASCII if ascii else _BLOCKS
    latest = [*[None] * max(most - len(values), 0), *values[-most:]]
    parts = [latest[n * most // width : (n + 1) * most // width] for n in range(width)]
    tops = [max([v for v in part if v is not None], default=None) for part in parts]
    top = max([v for v in tops if v is not None], default=0)
    return "".join([" " if v is None else steps[_step(v, top, len(steps) - 1)] for v in tops])


def _step(value: float, top: float, steps: int) -> int:
    return max(round(value / top * steps), 1) if value > 0 else 0
