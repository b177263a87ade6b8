"""Room in the map of ports: a port scan fills it, and what is dropped later has a port, too."""

from __future__ import annotations

from probes.model import Entries, Flat, Table

_FULL, _LET_GO = 0.75, 0.5
"""Shares of all entries: from which there is little room, and how many may be let go at a time."""


class PortRoom:
    """Deletes entries in which nothing was counted between two readings, the smallest first.

    Their packets are in the row of others from then on, as those of rows that a map evicts: the sum
    of all stays. What is counted between a reading and the deletion is there as well.

    most: entries that the map holds.
    """

    def __init__(self, table: Table, most: int) -> None:
        self._table, self._most = table, most
        self._before: dict[Flat, int] = {}

    def make(self, entries: Entries) -> None:
        """Make room, given what was just read. Nothing is compared while there is enough."""
        if len(entries) < self._most * _FULL:
            self._before = {}
            return
        now = {row[:-1]: int(row[-1]) for row in entries.rows()}
        idle = [key for key, packets in now.items() if self._before.get(key) == packets]
        for key in sorted(idle, key=now.__getitem__)[: int(self._most * _LET_GO)]:
            self._table.delete(key)
        self._before = now
