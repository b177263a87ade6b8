"""All rows of a hook at once: which hooks have columns, which rows are unusual, plain lists."""

from __future__ import annotations

from collections.abc import Container, Hashable, Mapping, Sequence

from probes.analysis.anomaly import Verdict
from probes.analysis.history import Figure
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot_row import SnapshotRow
from tui.session.view import View

_NUMBERS = (int, float)


def many_of(view: View, hook: str) -> ManyRows | None:
    """Return a hook's rows if they are columns; None if they are few, or of several targets."""
    found = view.of(hook)
    rows = found[0].rows if len(found) == 1 else None
    return rows if isinstance(rows, ManyRows) else None


def verdicts(view: View, figure: Figure, rows: ManyRows) -> Mapping[int, Verdict]:
    """Return the verdicts on those rows that are unusual, by their places."""
    if not view.past:
        places = rows.places(view.history.unusual(figure))
        return {place: view.verdict(figure, rows.table.key(place)) for place in places}
    found = {place: view.verdict(figure, key) for place, key in enumerate(rows.keys)}
    return {place: verdict for place, verdict in found.items() if verdict.since is not None}


def near(view: View, *figures: Figure) -> Container[Hashable]:
    """Return keys among which are those of all rows that are unusual."""
    if view.past:
        return _Every()
    return frozenset().union(*[view.history.unusual(figure) for figure in figures])


class _Every:
    def __contains__(self, _: object) -> bool:
        return True


def numbers_in(rows: Sequence[SnapshotRow], column: str) -> list[float]:
    """Return what `SnapshotRow.number` says of a stored column, of each row."""
    values = [row.stored.get(column) for row in rows]
    return [value if isinstance(value, _NUMBERS) else 0 for value in values]


def rates_in(rows: Sequence[SnapshotRow], counter: str) -> list[float]:
    """Return what `SnapshotRow.rate` says, of each row."""
    return [row.rates.get(counter) or 0 for row in rows]
