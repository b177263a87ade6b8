"""Connects that were decided, the latest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from probes import units
from probes.model import Row
from tui.session.view import Decided, View, clock
from tui.table.fields import label
from tui.table.lines import Line, fit, line
from tui.toolkit.related import address

_ROOMY = 78
"""Cells from which on there is room for a whole name, and for how long it took."""


def latest(view: View, most: int, keep: Callable[[Row], bool] = lambda _: True) -> list[Decided]:
    """Return the latest of those that are wanted, the newest first."""
    return list(_latest(view, most, keep))


def _latest(view: View, most: int, keep: Callable[[Row], bool]) -> Iterator[Decided]:
    for decided in reversed(list(view.decided.get("tcp-connect", ()))):
        if most <= 0:
            return
        if keep(decided.row):
            most -= 1
            yield decided


def entry(decided: Decided, width: int) -> Line:
    """Return one as a line: when, who, where, how it ended, and how long it took."""
    pid, comm, raddr, rport, result, ns = decided.row[:6]
    role = "good" if result == "established" else "bad"
    took = units.duration(ns if isinstance(ns, int | float) else None)
    roomy = width >= _ROOMY
    room = max(width - 58, 22)
    return line(
        (f"  {clock(decided.wall)} ", "muted"),
        fit(label(units.process(comm, pid)), 22 if roomy else 12),
        " ",
        fit(label(address(raddr, rport)), min(room, 42)),
        " ",
        (fit(label(result), 12), role),
        f"{took:>8}" if roomy else "",
    )
