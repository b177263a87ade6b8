"""The note of a status: what is said of a rung that stands, and of readings that fail."""

from __future__ import annotations

import time
from collections.abc import Iterable

from probes.errors import ProbeError
from probes.ladder.standing import Standing
from probes.model import UNREAD


def joined(*parts: str) -> str:
    return "; ".join(filter(None, parts))


def saying(standing: Standing, note: str, sentences: Iterable[str]) -> str:
    """Put what is to be said at the end of a note, in place of what was said."""
    said = joined(*sentences)
    if said == standing.said:
        return note
    note = note.removesuffix(standing.said).removesuffix("; ")
    standing.said = said
    return joined(note, said)


def warning(standing: Standing, note: str, failed: ProbeError) -> str:
    """Say in a note that readings fail, and since when."""
    if standing.failures == 1 or note != standing.trouble:
        standing.calm = note
        said = f"{UNREAD}{time.strftime('%H:%M:%S')}: {failed.why}"
        standing.trouble = joined(standing.note, said)
    return standing.trouble


def without_warning(standing: Standing, note: str) -> str:
    """Put back the note before readings failed."""
    return standing.calm if standing.failures and note == standing.trouble else note
