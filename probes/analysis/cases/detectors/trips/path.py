"""Claims of slow round trips: of the path to a peer, or of the one process that is slow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence

from probes import units
from probes.analysis.cases.claim import Claim, ClaimedRow, Evidence, Gravity, Where
from probes.analysis.cases.detectors.trips.connections import HOOK, holders, named, port_of, ties_of
from probes.analysis.cases.detectors.trips.slow import FAR, TRIP, SlowTrip
from probes.analysis.facts import Facts
from probes.analysis.snapshot_row import SnapshotRow
from probes.units import Unit

_SEVERAL, _TRIPS_PER_S = 3, 5.0
"""Connections to a peer, most of them slow, and their round trips a second, that are an alarm."""


def path_claims(facts: Facts, slow: Sequence[SlowTrip]) -> Iterable[Claim]:
    """Yield a claim for each path, and for each process that alone is slow."""
    shared: dict[tuple[str, str | None], list[SlowTrip]] = {}
    every = Counter([one.peer for one in slow])
    heard = _other_ends(slow)
    for one in slow:
        if one.row.key in heard:
            continue
        alone = one.beside is not None or 2 * every[one.peer] < one.others
        shared.setdefault((one.peer, str(one.row["comm"]) if alone else None), []).append(one)
    for (peer, comm), some in shared.items():
        yield _claim(facts, peer, comm, some, heard)


def _ends(row: SnapshotRow) -> tuple[object, ...]:
    return row["laddr"], row["lport"], row["raddr"], row["rport"]


def _other_ends(slow: Sequence[SlowTrip]) -> Mapping[Hashable, SnapshotRow]:
    """Return the ends that were called, where the caller's is there as well, by their keys.

    A connection within this host, be it to another namespace, has two rows.
    """
    callers: dict[tuple[object, ...], SnapshotRow] = {
        (r["raddr"], r["rport"], r["laddr"], r["lport"]): r
        for r in (one.row for one in slow)
        if r.number("rport") < r.number("lport")
    }
    return {
        one.row.key: one.row
        for one in slow
        if _ends(one.row) in callers and callers[_ends(one.row)].key != one.row.key
    }


def _claim(
    facts: Facts,
    peer: str,
    comm: str | None,
    some: Sequence[SlowTrip],
    heard: Mapping[Hashable, SnapshotRow],
) -> Claim:
    first, number = some[0], some[0].others
    trips = sum([one.trips_per_s for one in some])
    several = len(some) >= _SEVERAL and 2 * len(some) >= number and trips >= _TRIPS_PER_S
    grave = several or any(one.mark == FAR for one in some)
    place = named(peer, [one.row for one in some])
    since = [v.since for v in (one.verdict for one in some) if v.since and v.usual is not None]
    ends = {_ends(one.row)[2:] + _ends(one.row)[:2] for one in some}
    served = [row for row in heard.values() if _ends(row) in ends]
    return Claim(
        id=f"{HOOK}/{peer}" + (f"/{comm}" if comm is not None else ""),
        severity=Gravity.ALARM if grave else Gravity.NOTICE,
        what=f"{place} slow round trip" + (f" of {comm}" if comm is not None else ""),
        now=first.now,
        unit=Unit.US,
        usual=_usual(facts, first),
        since=min(since, default=None),
        struck=trips,
        who=holders([one.row for one in some], lambda row: row.rate("sent")),
        where=Where(address=peer, port=port_of([one.row for one in some])),
        evidence=tuple(_told(first, len(some), number, grave=grave)),
        next=(f"ss -tin dst {peer}", f"tracepath -n {peer}"),
        pane="rtt",
        rows=tuple([ClaimedRow(HOOK, r.key) for r in (*[one.row for one in some], *served)]),
        figure=TRIP,
        key=first.row.key,
        ties=ties_of([one.row for one in some], peer, path=comm is None)
        | ({("slow process", comm)} if first.beside is not None else frozenset()),
        depth=1,
    )


def _usual(facts: Facts, one: SlowTrip) -> float | None:
    """Return what is usual; before that is known, the least that was: another's, or its own."""
    verdict = one.verdict
    usual = verdict.usual if verdict.since is not None else facts.usual(TRIP, one.row.key)
    if usual is not None:
        return usual
    return one.least or None if one.beside is None else one.beside.now


def _told(first: SlowTrip, slow: int, number: int, *, grave: bool) -> Iterable[Evidence]:
    """Yield what was counted: of the slowest, and of the other connections to its peer."""
    if first.beside is not None:
        times = first.now / first.beside.now
        text = f"{times:.0f}x the {units.duration(first.beside.now * 1000)} of {first.beside.comm}"
        yield Evidence(HOOK, f"{text} to the same peer", times)
    elif first.least > 0:
        times = first.now / first.least
        least = units.duration(first.least * 1000)
        yield Evidence(HOOK, f"{times:.0f}x its minimum of {least}", times)
    if number > slow and first.beside is None:
        others = number - slow
        those = f"the other {others} connections" if others > 1 else "the other connection"
        verb = "are" if others > 1 else "is"
        yield Evidence(HOOK, f"{those} to it {verb} not slow", others)
    elif number > 1 and first.beside is None:
        yield Evidence(HOOK, f"all {number} connections to it are slow", number)
    if again := first.row.rate("retransmits"):
        yield Evidence(HOOK, units.per_second(again, "retransmit"), again)
    if not grave:
        yield Evidence(HOOK, "peers may delay acknowledgements by up to 200ms", None)
