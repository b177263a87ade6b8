"""A key: what it is bound to, where it does something, and what the help says of it."""

from __future__ import annotations

from dataclasses import dataclass

PANE = frozenset({"pane"})
TABLES = frozenset({"pane", "menu"})
NUMBERS = frozenset({"pane", "detail"})
TEXT = frozenset({"pane", "detail", "help"})
ANY = TABLES | TEXT
"""Modes of the screen, as `Key.modes` takes them."""


@dataclass(frozen=True, slots=True)
class Key:
    """One binding. keys: as Textual names them, by commas. shown: as people know them.

    action: the method of its group that it calls; given: what it passes. modes: what the screen
    may show for it to do something, while nothing is asked; None: whatever it shows. footer: its
    place among the at most seven keys at the bottom, 0: not there. anywhere: also while something
    is typed.
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
