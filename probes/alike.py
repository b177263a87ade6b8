"""What somebody may have meant: names that are spelled alike."""

from __future__ import annotations

import difflib
from collections.abc import Collection

from probes.units import printable


def alike(name: str, names: Collection[str]) -> str:
    """The names that are spelled most alike, as the end of a sentence; "" where none is."""
    # difflib takes a second for 100,000 names: only those with something in common are compared.
    low, least = name.lower(), len(name) * 2 // 3
    stem = low[: max(len(low) // 2, 3)]
    some = [
        n
        for n in names
        if least <= len(n) <= len(name) + 12 and (stem in n.lower() or n.lower()[:2] == low[:2])
    ]
    close = difflib.get_close_matches(name, some, 3, 0.6)
    return f"; spelled alike: {', '.join(map(printable, close))}" if close else ""
