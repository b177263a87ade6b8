"""A key: its binding, where it works, and its help."""

from __future__ import annotations

from dataclasses import dataclass

PANE = frozenset({"pane"})
TABLES = frozenset({"pane", "menu"})
NUMBERS = frozenset({"pane", "detail"})
TEXT = frozenset({"pane", "detail", "help"})
ANY = TABLES | TEXT
"""The screen's modes, for `Key.modes`."""


@dataclass(frozen=True, slots=True)
class Key:
    """One binding. keys: names as in Textual, separated by commas. shown: as users know them.

    action: the method of its group to call; given: its argument. modes: the screen's modes in which
    it works, while nothing is asked; None: all. footer: its place among the at most seven keys at
    the bottom, 0: not there. anywhere: works also while something is typed.
    """

    id: str
    keys: str
    shown: str
    action: str
    title: str
    help: str
    group: str
    footer: int = 0
    anywhere: bool = False
    modes: frozenset[str] | None = ANY
    given: int | None = None
