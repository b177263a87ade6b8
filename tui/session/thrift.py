"""Thrift: how much of the past is kept while memory is short, and again afterwards."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from probes.analysis.history import History
from probes.analysis.known_rows import MAX_GONE
from probes.recording.tape import Tape
from probes.source import Source

_LESS, _MORE, _LEAST = 0.7, 1.02, 0.1
"""From one tick to the next; the least share of what is kept otherwise."""


@runtime_checkable
class MemoryBound(Protocol):
    """A source that keeps a bound on memory.

    is_tight: less of the past should be kept, and nothing more be attached unasked.
    """

    @property
    def is_tight(self) -> bool: ...


def is_tight(source: Source) -> bool:
    """Return whether memory is short."""
    return isinstance(source, MemoryBound) and source.is_tight


class Thrift:
    """The share of the past that is kept: of the tape's bytes (most), and of rows that went."""

    def __init__(self, most: int) -> None:
        self._most, self._share = most, 1.0

    def take(self, tape: Tape, history: History, *, tight: bool) -> None:
        """Keep more or less from now on. To be called once in a tick."""
        share = min(max(self._share * (_LESS if tight else _MORE), _LEAST), 1.0)
        if share != self._share:
            self._share, tape.most = share, int(self._most * share)
            history.keep_gone(int(MAX_GONE * share))
