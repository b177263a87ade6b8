"""The filter line: words that must all be in a row; `!word` must not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tui.fields import Field, Record


def parse(text: str, fields: Sequence[Field]) -> Callable[[Record], bool] | None:
    """A test for records, by what their fields show; None where the text asks for nothing."""
    words = text.lower().split()
    wanted = [w for w in words if not w.startswith("!")]
    banned = [w[1:] for w in words if w.startswith("!") and len(w) > 1]
    if not wanted and not banned:
        return None

    def keep(record: Record) -> bool:
        shown = " ".join([record.name, *(f.text(record, False) for f in fields)]).lower()
        return all(w in shown for w in wanted) and not any(b in shown for b in banned)

    return keep
