"""The compiler's children: what they may yet take of the bound on memory."""

from __future__ import annotations

from collections.abc import Iterable

from probes.sources.live.room import COMPILER
from probes.sources.live.usage import resident


def growth(children: Iterable[int]) -> int:
    """Return the bytes that these processes may take beyond what they take now."""
    return sum(max(COMPILER - resident(pid), 0) for pid in children)
