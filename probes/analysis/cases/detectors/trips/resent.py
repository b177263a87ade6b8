"""Retransmitted segments to each peer, as a share of all sent in the last ten seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from probes.analysis.cases.detectors.trips.connections import HOOK, LEXICON, word_of
from probes.analysis.facts import Facts
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import np
from probes.columns.cells import Cells, NumberCells, Reals
from probes.columns.row_table import RowTable
from probes.model import Hook, Key, Row, Value

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Resent(NamedTuple):
    """Segments to a peer: those sent again, and all; None: not counted. seconds: in which."""

    number: float
    of: float | None
    seconds: float

    @property
    def per_s(self) -> float:
        return self.number / self.seconds

    @property
    def share(self) -> float | None:
        return min(self.number / self.of, 1.0) if self.of else None


def resent(facts: Facts, rows: Sequence[SnapshotRow], peers: Sequence[str]) -> Mapping[str, Resent]:
    """Return what was sent to these in the last ten seconds, or since the watch began.

    Only over connections that were there then: what others sent again may be SYNs.
    """
    snapshot = facts.of(HOOK)[0]
    base = snapshot.window or facts.since.get(snapshot.id)
    if base is None or base.time >= snapshot.sample.time:
        return {}
    seconds = snapshot.sample.time - base.time
    if isinstance(rows, ManyRows):
        return _resent_of_many(snapshot.hook, rows, base.rows, peers, seconds)
    at = {name: n for n, name in enumerate(snapshot.hook.places.names)}
    again, sent = dict.fromkeys(peers, 0.0), dict[str, float]()
    for row in rows:
        peer, before = str(row["raddr"]), base.rows.get(row.key)
        if before is None or peer not in again:
            continue
        again[peer] += _added(row.stored["retransmits"], before[at["retransmits"]]) or 0.0
        more = _added(row.stored.get("sent"), before[at["sent"]])
        if more is not None:
            sent[peer] = sent.get(peer, 0.0) + more
    return {peer: Resent(n, sent.get(peer), seconds) for peer, n in again.items()}


def _resent_of_many(
    hook: Hook, rows: ManyRows, before: Mapping[Key, Row], peers: Sequence[str], seconds: float
) -> Mapping[str, Resent]:
    """Return the same of many. before: the rows that they are compared with."""
    if not before:
        return {}
    table = before
    if not isinstance(table, RowTable):
        table = RowTable.of_rows(before.values(), hook.places.keys)
    at = rows.table.places_in(table)
    words = LEXICON.column("raddr", rows.cells("raddr"))
    again, sent = (
        _grown(rows, name, table.cells[hook.places.names.index(name)], at)
        for name in ("retransmits", "sent")
    )
    sums, sent_sums, counted = (
        np.bincount(words.places, values, minlength=len(words.texts))
        for values in (again.values, sent.values, sent.known)
    )
    found = {}
    for peer in peers:
        word = word_of(words, peer)
        of = float(sent_sums[word]) if counted[word] else None
        found[peer] = Resent(float(sums[word]), of, seconds)
    return found


def _grown(rows: ManyRows, column: str, then: Cells, at: NDArray[np.intp]) -> Reals:
    """Return what each row has grown by; 0 where that is not known. at: its place then, or -1."""
    now = rows.reals(column)
    if now is None or not isinstance(then, NumberCells) or not len(then):
        return Reals(np.zeros(len(rows)), np.zeros(len(rows), bool))
    known = (at >= 0) & now.known & then.flags()[at]
    more = np.maximum(now.values - then.raw.astype("f8")[at], 0.0)
    return Reals(np.where(known, more, 0.0), known)


def _added(now: Value, before: Value) -> float | None:
    if not isinstance(now, int | float) or not isinstance(before, int | float):
        return None
    return max(now - before, 0.0)
