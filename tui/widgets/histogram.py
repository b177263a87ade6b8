"""A log2 histogram as lines: bucket, bar, hits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from probes import units
from tui.table.lines import Line, fit, line

_BLOCKS = " ▏▎▍▌▋▊▉█"


def histogram(
    buckets: Sequence[int], width: int, unit: Callable[[float], str], *, ascii: bool = False
) -> list[Line]:
    """Draw one line for each bucket, first to last that was hit. unit: bound -> text."""
    hit = [power for power, hits in enumerate(buckets) if hits]
    if not hit:
        return [line(("nothing counted yet", "muted"))]
    most, total = max(buckets), sum(buckets)
    space = max(width - 34, 8)
    lines = []
    for power in range(hit[0], hit[-1] + 1):
        hits = buckets[power]
        bounds = f"{unit(2**power if power else 0):>7} - {unit(2 ** (power + 1)):<7}"
        share = f"{units.count(hits):>7} {units.percent(hits / total * 100):>6}"
        bar = fit(_bar(hits / most, space, ascii), space)
        lines.append(line((bounds, "muted"), " ", (bar, "graph1"), (share, "")))
    return lines


def _bar(share: float, space: int, ascii: bool) -> str:
    if ascii:
        return "#" * max(round(share * space), 1 if share else 0)
    eighths = max(round(share * space * 8), 1 if share else 0)
    return "█" * (eighths // 8) + _BLOCKS[eighths % 8].strip()
