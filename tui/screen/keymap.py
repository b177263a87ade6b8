"""The key table: the keys of all groups, changed by the user's; the help is made from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches

from textual.binding import Binding, BindingType

from tui.screen.actions import groups
from tui.screen.key import Key
from tui.terminal.key_names import named, people

KEYS = tuple(key for group in groups() for key in group.keys)
"""Every key: the sum of the groups' keys."""


class Keymap:
    """The table with the user's own keys. problems: errors in those."""

    def __init__(self, mine: Mapping[str, Sequence[str]] = {}) -> None:
        self.problems: list[str] = []
        self._owners: dict[str, str] = {}
        wanted = {id: self._understood(id, keys) for id, keys in mine.items()}
        self.table = tuple(self._with(key, wanted.get(key.id)) for key in KEYS)

    def _understood(self, id: str, keys: Sequence[str]) -> list[str] | None:
        """Return the user's keys as Textual names them; None to keep ours."""
        if id not in (known := [k.id for k in KEYS]):
            near = get_close_matches(id, known, 1)
            meant = f"did you mean {near[0]}?" if near else "? lists the keys, : their ids"
            self.problems.append(f"keys: no binding {id!r}; {meant}")
            return None
        taken = []
        for key in keys:
            name = named(key)
            if name is None:
                self.problems.append(
                    f"keys: {id}: no key {key!r}; keys are written as 'o', 'ctrl+o'"
                )
            elif name in self._owners:
                self.problems.append(
                    f"keys: {key!r} is {self._owners[name]}'s already; ignored for {id}"
                )
            else:
                self._owners[name] = id
                taken.append(name)
        if not taken and (keys or id == "quit.anywhere"):
            return None
        return taken

    def _with(self, key: Key, mine: list[str] | None) -> Key:
        """Return the key with the user's keys, or its own without those given to others."""
        if mine is None:
            own = key.keys.split(",")
            mine = [k for k in own if self._owners.get(_letter(k), key.id) == key.id]
            if mine == own:
                return key
        both = [f"{k},shift+{k.lower()}" if k.isupper() and len(k) == 1 else k for k in mine]
        shown = [people(k) for k in mine if _letter(k) == k]
        return replace(key, keys=",".join(both), shown=" ".join(shown))

    def bindings(self) -> Iterator[BindingType]:
        """Return the table in Textual's form."""
        for key in self.table:
            if key.keys:
                yield Binding(
                    key.keys, f"do({key.id!r})", key.title or key.help, show=False,
                    priority=key.anywhere, id=key.id,
                )  # fmt: skip

    def footer(self) -> tuple[Key, ...]:
        """Return the keys at the bottom, in order."""
        return tuple(sorted((k for k in self.table if k.footer and k.keys), key=lambda k: k.footer))

    def shown(self, id: str) -> str:
        """Return the first key of a binding, as users know it; "" if it has none."""
        return next((k.shown.partition(" ")[0] for k in self.table if k.id == id), "")


def _letter(key: str) -> str:
    """Return shift+g as G: the two are one key, and terminals send either."""
    return key[-1].upper() if key.startswith("shift+") and len(key) == 7 else key
