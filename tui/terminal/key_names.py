"""Names of keys: as users write them, and as Textual does."""

from __future__ import annotations

import re

from textual.keys import KEY_NAME_REPLACEMENTS, Keys, _character_to_key

_NAMES = {k.value for k in Keys} | set(KEY_NAME_REPLACEMENTS.values())
_SHOWN = {
    "escape": "Esc", "pageup": "PgUp", "pagedown": "PgDn", "delete": "Del", "shift+tab": "S-Tab",
    "slash": "/", "backslash": "\\", "plus": "+", "minus": "-", "underscore": "_", "at": "@",
}  # fmt: skip


def named(key: str) -> str | None:
    """Return a key as Textual names it: "/" is slash, "^o" is ctrl+o; None for no such key."""
    if len(key) == 1:
        return _character_to_key(key) if key.isprintable() and not key.isspace() else None
    text = re.sub(r"^\^(?=.$)", "ctrl+", key.strip().lower())
    *modifiers, last = text.split("+")
    if len(last) == 1 and modifiers:
        last = _character_to_key(last)
        return "+".join((*modifiers, last)) if set(modifiers) <= {"ctrl", "shift", "alt"} else None
    known = text in _NAMES or (last in _NAMES and set(modifiers) <= {"ctrl", "shift", "alt"})
    return text if known or _named_character(text) else None


def _named_character(text: str) -> bool:
    return any(_character_to_key(c) == text for c in map(chr, range(33, 127)))


def people(key: str) -> str:
    """Return Textual's name of a key as users know it: ctrl+o is ^O."""
    if key in _SHOWN:
        return _SHOWN[key]
    if key.startswith("ctrl+"):
        return f"^{people(key.removeprefix('ctrl+')).upper()}"
    character = next((c for c in map(chr, range(33, 127)) if _character_to_key(c) == key), "")
    return character or (key.upper() if re.fullmatch(r"f\d+", key) else key.capitalize())
