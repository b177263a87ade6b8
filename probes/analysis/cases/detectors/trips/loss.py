"""Claims of loss: peers to which a share of the segments is retransmitted."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from heapq import nlargest
from typing import TYPE_CHECKING

from probes import units
from probes.analysis import since_boot
from probes.analysis.anomaly import Threshold
from probes.analysis.by_row import ByRow
from probes.analysis.cases.claim import Claim, ClaimedRow, Evidence, Gravity, Where
from probes.analysis.cases.detector import MOST
from probes.analysis.cases.detectors.trips.connections import (
    HOOK,
    LEXICON,
    LOOKED_AT,
    NAMED,
    holders,
    named,
    place_of,
    port_of,
    sums_of,
    ties_of,
    word_of,
)
from probes.analysis.cases.detectors.trips.resent import Resent, resent
from probes.analysis.facts import Facts
from probes.analysis.history import Figure
from probes.analysis.many import rates_in, rows_of
from probes.analysis.many_rows import ManyRows
from probes.analysis.since_boot import TIMES, ShareSinceBoot
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import np
from probes.units import Unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

_AGAIN_PER_S, _AGAIN_SHARE, _NOTICED_SHARE = 1.0, 0.05, 0.02
"""Segments sent again, a second and of those sent: an alarm; unusual."""
_LEAST_AGAIN = 5
"""Least number of retransmitted segments in ten seconds."""
SENT_AGAIN = Figure(
    "rtt-again", "retransmits/s", Unit.COUNT, HOOK, ByRow("retransmits", rate=True),
    wrong=True, rule=Threshold(3.0, alarm=3.0),
)  # fmt: skip


def loss_claims(facts: Facts) -> Iterable[Claim]:
    """Yield a claim for each peer to which a share of the segments is sent again."""
    rows = rows_of(facts, HOOK)
    again = rows.per_s("retransmits") if isinstance(rows, ManyRows) else None
    if isinstance(rows, ManyRows) and again is not None:
        now = _summed(rows, again) if again.any() else {}
    else:
        now = sums_of(
            (str(rows[place]["raddr"]), rate)
            for place, rate in enumerate(rates_in(rows, "retransmits"))
            if rate
        )
    peers = _lossy(facts, rows, now)
    for peer, found in (resent(facts, rows, peers) if peers else {}).items():
        if (claim := _claim(facts, peer, found, _to(rows, peer))) is not None:
            yield claim


def _summed(rows: ManyRows, again: NDArray[np.float64]) -> dict[str, float]:
    """Return the retransmits a second of the peers with most of them."""
    words = LEXICON.column("raddr", rows.cells("raddr"))
    sums = np.bincount(words.places, again, minlength=len(words.texts))
    most = np.argsort(-sums, kind="stable")[: 4 * MOST].tolist()
    return {str(words.texts[place]): float(sums[place]) for place in most if sums[place]}


def _lossy(facts: Facts, rows: Sequence[SnapshotRow], now: Mapping[str, float]) -> Sequence[str]:
    """Return the peers with most retransmits, now or a moment ago."""
    found = {peer: rate for peer, rate in now.items() if rate >= _AGAIN_PER_S}
    keys = frozenset[Hashable]() if facts.past else facts.history.unusual(SENT_AGAIN)
    if len(keys) <= LOOKED_AT:
        for key in keys:
            place = place_of(facts, key)
            if place is not None:
                peer = str(rows[place]["raddr"])
                found.setdefault(peer, now.get(peer, 0.0))
    return nlargest(2 * MOST, found, key=lambda peer: (found[peer], peer))


def _to(rows: Sequence[SnapshotRow], peer: str) -> list[SnapshotRow]:
    """Return the connections to a peer, those with most retransmits first; at most so many."""
    if isinstance(rows, ManyRows):
        words = LEXICON.column("raddr", rows.cells("raddr"))
        places = np.flatnonzero(words.places == word_of(words, peer))
        again = rows.per_s("retransmits")[places]
        first = places[np.argsort(-again, kind="stable")][:NAMED]
        return [rows[place] for place in first.tolist()]
    those = [row for row in rows if row["raddr"] == peer]
    return nlargest(NAMED, those, key=lambda row: row.rate("retransmits"))


def _claim(facts: Facts, peer: str, found: Resent, rows: Sequence[SnapshotRow]) -> Claim | None:
    those = [row for row in rows if row.rate("retransmits")] or rows
    said = [facts.verdict(SENT_AGAIN, row.key) for row in those]
    share = found.share
    if not those or found.per_s < _AGAIN_PER_S or found.number < _LEAST_AGAIN:
        return None
    if share is None:  # nothing but SYNs; or recordings before segments were counted
        if found.of is not None or all(verdict.since is None for verdict in said):
            return None
    elif share < _NOTICED_SHARE:
        return None
    grave = share is not None and share >= _AGAIN_SHARE
    boot = since_boot.share_of(facts, "TcpRetransSegs")
    if not grave and share is not None and boot is not None and share <= TIMES * boot.average:
        return None  # as it always was, of all segments
    since = [v.since for v in said if v.since is not None and v.usual is not None]
    return Claim(
        id=f"{HOOK}/{peer}/retransmits",
        severity=Gravity.ALARM if grave else Gravity.NOTICE,
        what=f"segments to {named(peer, those)} are retransmitted",
        now=found.per_s,
        unit=Unit.COUNT,
        share=share,
        of="segments sent",
        since=min(since, default=None),
        struck=found.per_s,
        who=holders(those, lambda row: row.rate("retransmits")),
        where=Where(address=peer, port=port_of(those)),
        evidence=(*_sent(found, those), *_since_boot(boot)),
        next=(f"ss -tin dst {peer}", f"mtr --tcp -n {peer}"),
        pane="rtt",
        rows=tuple([ClaimedRow(HOOK, row.key) for row in those]),
        figure=SENT_AGAIN,
        key=those[0].key,
        ties=ties_of(those, peer, path=True),
        depth=1,
    )


def _since_boot(boot: ShareSinceBoot | None) -> Iterable[Evidence]:
    if boot is not None:
        text = f"{units.percent(100 * boot.average)} of all segments since boot"
        yield Evidence(since_boot.COUNTERS, text, boot.average)


def _sent(found: Resent, those: Sequence[SnapshotRow]) -> Iterable[Evidence]:
    if found.of:
        seconds = f"{found.seconds:.0f} s"
        text = f"{units.count(found.number)} of {units.count(found.of)} segments in {seconds}"
        yield Evidence(HOOK, text, found.number)
    if trip := those[0].number("srtt_us"):
        yield Evidence(HOOK, f"round trip {units.duration(trip * 1000)}", trip)
