"""C that counts: in rows, in the sum of all rows (evicted ones as well), in a log."""

from __future__ import annotations

from probes.model import Table
from probes.toolkit.c_files import c_source

UNCOUNTED = c_source(__file__, "uncounted.h")
"""For maps of pending events: they evict nothing, as that would be the event that waits longest."""


def counted(table: Table | None, which: int = 0) -> int:
    """Return a counter of an array to which C adds; 0 where the rung's C has none."""
    entry = table.row((which,)) if table is not None else None
    return int(entry[-1]) if entry else 0


def large_rows(key: str = "struct who") -> str:
    """Return the C for rows that are too large for the stack. key: the type of their keys."""
    return c_source(__file__, "large_rows.h", ROW_KEY=key)


def event_log(length: int, lost: int = 1) -> str:
    """Return the C for a log of so many entries. lost: how many things are counted as missed."""
    return c_source(__file__, "events.h", EVENTS=length, LOST=lost)


def everything(sum: str = "struct slot") -> str:
    """Return the C for a hook whose rows have the counters of this struct."""
    return c_source(__file__, "everything.h", SUM=sum)
