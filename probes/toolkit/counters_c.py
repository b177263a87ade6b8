"""The C that counts in a row and in the sum of all rows, so that evicted rows are not lost."""

from __future__ import annotations

from probes.toolkit.c_files import c_source

UNCOUNTED = c_source(__file__, "uncounted.h")
"""For maps of pending events: they evict nothing, as that would be the event that waits longest."""


def everything(sum: str = "struct slot") -> str:
    """Return the C for a hook whose rows have the counters of this struct."""
    return c_source(__file__, "everything.h", SUM=sum)
