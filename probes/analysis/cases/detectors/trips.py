"""Round trips and retransmits that are unusual: of a path, or of one process.

An acknowledgement that the peer delays makes a round trip longer: by 40 ms where it runs Linux, by
up to 200 ms elsewhere. That is no slow path, however often it is a connection's minimum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from heapq import nlargest
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from probes import units
from probes.analysis.anomaly import ManyVerdicts, Threshold, Verdict
from probes.analysis.by_row import ByRow
from probes.analysis.cases.claim import Claim, ClaimedRow, Evidence, Gravity, Where, Who
from probes.analysis.cases.detector import MOST, Detector
from probes.analysis.facts import Facts
from probes.analysis.history import Figure
from probes.analysis.many import (
    many_of,
    near,
    numbers_in,
    rates_in,
    rows_of,
    verdicts,
)
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import np
from probes.columns.cells import Cells, NumberCells, Reals
from probes.columns.lexicon import Lexicon
from probes.columns.row_table import RowTable
from probes.columns.vocabulary import Words
from probes.model import Hook, Key, Row, Value
from probes.units import Unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

K = TypeVar("K", bound=Hashable)
HOOK = "tcp-rtt"
LEAST_US = 60_000
"""Round trips below it are not judged: on Linux, acknowledgements are delayed by 40 ms."""
DELAYED_US = 220_000
"""More than what any peer delays an acknowledgement by: so much more is a slow path."""
TIMES, TIMES_MINIMUM = 3.0, 5.0
"""How many times the usual, and the connection's own minimum, a slow round trip takes."""
_SEVERAL, _TRIPS_PER_S = 3, 5.0
"""Connections to a peer, most of them slow, and their round trips a second, that are an alarm."""
_AGAIN_PER_S, _AGAIN_SHARE, _NOTICED_SHARE = 1.0, 0.05, 0.02
"""Segments sent again, a second and of those sent: an alarm; unusual."""
_LEAST_AGAIN = 5
"""How many there have to be in ten seconds."""
_LOOKED_AT, _NAMED = 256, 8
"""Slow connections that are looked at one by one; those who are named of one claim."""

TRIP = Figure(
    "rtt-srtt", "SRTT", Unit.US, HOOK, ByRow("srtt_us", zero=False),
    rule=Threshold(LEAST_US, times=TIMES, absent=None),
)  # fmt: skip
SENT_AGAIN = Figure(
    "rtt-again", "retransmits/s", Unit.COUNT, HOOK, ByRow("retransmits", rate=True),
    wrong=True, rule=Threshold(3.0, alarm=3.0),
)  # fmt: skip
_LEXICON = Lexicon()
_CALM, _SLOW, _FAR = 0, int(Gravity.NOTICE), int(Gravity.ALARM)


class Trips(NamedTuple):
    """Connections that are slow, or send again.

    marks: how grave that is of each row in their order, 0 of most: an array if they are columns.
    """

    claims: Sequence[Claim]
    marks: Sequence[int] | NDArray[np.uint8]


def trips(facts: Facts) -> Trips:
    """Return what is wrong with connections, the worst first; computed once for each reading."""
    return facts.once_read(_judged, HOOK)


def is_far(now: float, least: float) -> bool:
    """Return whether a round trip is far above the connection's minimum. Both in microseconds."""
    return least > 0 and now >= TIMES_MINIMUM * least and now >= LEAST_US


def _judged(facts: Facts) -> Trips:
    slow, marks = _slow(facts)
    claims = sorted([*_of_trips(facts, slow), *_of_loss(facts)], key=_weight, reverse=True)[:MOST]
    places: dict[Hashable, int] = {one.row.key: one.place for one in slow}
    for claim in claims:
        for row in claim.rows:
            place = places.get(row.key)
            place = _place(facts, row.key) if place is None else place
            if place is not None:
                marks[place] = max(int(marks[place]), int(claim.severity))
    return Trips(claims, marks)


def _weight(claim: Claim) -> tuple[int, float]:
    return claim.severity, claim.struck


def _place(facts: Facts, key: Hashable) -> int | None:
    rows = rows_of(facts, HOOK)
    if isinstance(rows, ManyRows):
        return rows.place(key)
    return next((n for n, row in enumerate(rows) if row.key == key), None)


# -- slow connections ----------------------------------------------------------------------------


class _Slow(NamedTuple):
    """A slow connection. place: its row's. now, least: its round trip and its minimum, in us.

    verdict: on its round trip. mark: as in `Trips`. others: connections to its peer, with it.
    """

    place: int
    row: SnapshotRow
    now: float
    least: float
    verdict: Verdict
    mark: int
    others: int

    @property
    def peer(self) -> str:
        return str(self.row["raddr"])

    @property
    def trips_per_s(self) -> float:
        """Round trips that somebody waits for, a second."""
        seen = self.row.rates.get("samples")
        if seen:
            return seen
        return min(self.row.rate("sent"), 1e6 / self.now)


def _slow(facts: Facts) -> tuple[list[_Slow], list[int] | NDArray[np.uint8]]:
    """Return the slow connections, the slowest first, and a mark for each connection."""
    rows = many_of(facts, HOOK)
    return _slow_of_few(facts) if rows is None else _slow_of_many(facts, rows)


def _slow_of_few(facts: Facts) -> tuple[list[_Slow], list[int]]:
    rows = facts.rows(HOOK)
    now, least = numbers_in(rows, "srtt_us"), numbers_in(rows, "min_us")
    marks, found = [_CALM] * len(rows), list[tuple[int, Verdict]]()
    unusual = near(facts, TRIP)
    for place, us in enumerate(now):
        if us < LEAST_US:
            continue
        row = rows[place]
        verdict = facts.verdict(TRIP, row.key) if row.key in unusual else Verdict()
        mark = _mark(us, least[place], verdict)
        if mark and _is_fresh(facts, row):
            marks[place] = mark
            found.append((place, verdict))
    if not found:
        return [], marks
    to = Counter([row["raddr"] for row, us in zip(rows, now, strict=True) if us])
    slowest = nlargest(_LOOKED_AT, found, key=lambda one: now[one[0]])
    slow = [
        _Slow(n, rows[n], now[n], least[n], verdict, marks[n], to[rows[n]["raddr"]])
        for n, verdict in slowest
    ]
    return slow, marks


def _slow_of_many(facts: Facts, rows: ManyRows) -> tuple[list[_Slow], NDArray[np.uint8]]:
    now, least = rows.numbers("srtt_us"), rows.numbers("min_us")
    marks = np.zeros(len(rows), "u1")
    high = now >= LEAST_US
    if not high.any():
        return [], marks
    said = verdicts(facts, TRIP, HOOK)
    marks[:] = _marks(now, least, said) * (high & _are_fresh(rows))
    places = np.flatnonzero(marks)
    if not len(places):
        return [], marks
    words = _LEXICON.column("raddr", rows.cells("raddr"))
    to = np.bincount(words.places[now > 0], minlength=len(words.texts))
    slowest = places[np.argsort(-now[places], kind="stable")][:_LOOKED_AT].tolist()
    slow = [
        _Slow(
            n, rows[n], float(now[n]), float(least[n]), said.at(n), int(marks[n]),
            int(to[words.places[n]]),
        )
        for n in slowest
    ]  # fmt: skip
    return slow, marks


def _mark(now: float, least: float, verdict: Verdict) -> int:
    """Return how grave one round trip is, if the connection is used."""
    usual = verdict.usual if verdict.since is not None else None
    if not is_far(now, least) and (usual is None or now < TIMES * usual):
        return _CALM
    base = min([us for us in (least, usual) if us], default=0)
    return _FAR if now - base >= DELAYED_US else _SLOW


def _marks(
    now: NDArray[np.float64], least: NDArray[np.float64], said: ManyVerdicts
) -> NDArray[np.uint8]:
    """Return the same of many."""
    far = (least > 0) & (now >= TIMES_MINIMUM * least)
    usual = np.where(said.unusual & (said.usual > 0), said.usual, np.inf)
    slow = far | (now >= TIMES * usual) | (said.unusual & (said.usual == 0))
    base = np.minimum(np.where(least > 0, least, np.inf), usual)
    grave = now - np.where(np.isinf(base), 0, base) >= DELAYED_US
    marks: NDArray[np.uint8] = slow.astype("u1") + (slow & grave).astype("u1")
    return marks


def _is_fresh(facts: Facts, row: SnapshotRow) -> bool:
    """Return whether the estimate is of the last seconds: a silent connection keeps its own."""
    if row.rate("samples") or row.rate("sent") or row["p50_us"] is not None:
        return True
    if any(rate is not None for rate in row.rates.values()):
        return False
    before = facts.series(TRIP, row.key, 2)  # after a change of rungs there are no rates
    return len(before) == 2 and None not in before and before[0] != before[1]


def _are_fresh(rows: ManyRows) -> NDArray[np.bool_]:
    """Return the same of many."""
    used = (rows.per_s("samples") > 0) | (rows.per_s("sent") > 0)
    medians = rows.derived("p50_us")
    return used if medians is None else used | medians.known


def _of_trips(facts: Facts, slow: Sequence[_Slow]) -> Iterable[Claim]:
    """Yield a claim for each path, and for each process that alone is slow."""
    shared: dict[tuple[str, str | None], list[_Slow]] = {}
    every = Counter([one.peer for one in slow])
    heard = _other_ends(slow)
    for one in slow:
        if one.row.key in heard:
            continue
        alone = 2 * every[one.peer] < one.others
        shared.setdefault((one.peer, str(one.row["comm"]) if alone else None), []).append(one)
    for (peer, comm), some in shared.items():
        yield _slow_claim(facts, peer, comm, some, heard)


def _ends(row: SnapshotRow) -> tuple[object, ...]:
    return row["laddr"], row["lport"], row["raddr"], row["rport"]


def _other_ends(slow: Sequence[_Slow]) -> Mapping[Hashable, SnapshotRow]:
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


def _slow_claim(
    facts: Facts,
    peer: str,
    comm: str | None,
    some: Sequence[_Slow],
    heard: Mapping[Hashable, SnapshotRow],
) -> Claim:
    first, number = some[0], some[0].others
    trips = sum([one.trips_per_s for one in some])
    several = len(some) >= _SEVERAL and 2 * len(some) >= number and trips >= _TRIPS_PER_S
    grave = several or any(one.mark == _FAR for one in some)
    place = _named(peer, [one.row for one in some])
    since = [v.since for v in (one.verdict for one in some) if v.since and v.usual is not None]
    ends = {_ends(one.row)[2:] + _ends(one.row)[:2] for one in some}
    served = [row for row in heard.values() if _ends(row) in ends]
    verdict = first.verdict
    return Claim(
        id=f"{HOOK}/{peer}" + (f"/{comm}" if comm is not None else ""),
        severity=Gravity.ALARM if grave else Gravity.NOTICE,
        what=f"{place} slow round trip" + (f" of {comm}" if comm is not None else ""),
        now=first.now,
        unit=Unit.US,
        usual=verdict.usual if verdict.since is not None else facts.usual(TRIP, first.row.key),
        since=min(since, default=None),
        struck=trips,
        who=_who([one.row for one in some], lambda row: row.rate("sent")),
        where=Where(address=peer, port=_port([one.row for one in some])),
        evidence=tuple(_told(first, len(some), number, grave=grave)),
        next=(f"ss -tin dst {peer}", f"tracepath -n {peer}"),
        pane="rtt",
        rows=tuple([ClaimedRow(HOOK, r.key) for r in (*[one.row for one in some], *served)]),
        figure=TRIP,
        key=first.row.key,
        ties=_ties([one.row for one in some], peer, path=comm is None),
        depth=1,
    )


def _told(first: _Slow, slow: int, number: int, *, grave: bool) -> Iterable[Evidence]:
    """Yield what was counted: of the slowest, and of the other connections to its peer."""
    if first.least > 0:
        times = first.now / first.least
        least = units.duration(first.least * 1000)
        yield Evidence(HOOK, f"{times:.0f}x its minimum of {least}", times)
    if number > slow:
        others = number - slow
        those = f"the other {others} connections" if others > 1 else "the other connection"
        verb = "are" if others > 1 else "is"
        yield Evidence(HOOK, f"{those} to it {verb} not slow", others)
    elif number > 1:
        yield Evidence(HOOK, f"all {number} connections to it are slow", number)
    if again := first.row.rate("retransmits"):
        yield Evidence(HOOK, f"{units.count(again)} retransmits/s", again)
    if not grave:
        yield Evidence(HOOK, "peers may delay acknowledgements by up to 200ms", None)


# -- loss ------------------------------------------------------------------------------------------


def _of_loss(facts: Facts) -> Iterable[Claim]:
    """Yield a claim for each peer to which a share of the segments is sent again."""
    rows = rows_of(facts, HOOK)
    again = rows.per_s("retransmits") if isinstance(rows, ManyRows) else None
    if isinstance(rows, ManyRows) and again is not None:
        now = _summed(rows, again) if again.any() else {}
    else:
        now = _sums(
            (str(rows[place]["raddr"]), rate)
            for place, rate in enumerate(rates_in(rows, "retransmits"))
            if rate
        )
    peers = _lossy(facts, rows, now)
    for peer, found in (_resent(facts, rows, peers) if peers else {}).items():
        if (claim := _loss(facts, peer, found, _to(rows, peer))) is not None:
            yield claim


def _summed(rows: ManyRows, again: NDArray[np.float64]) -> dict[str, float]:
    """Return the retransmits a second of the peers with most of them."""
    words = _LEXICON.column("raddr", rows.cells("raddr"))
    sums = np.bincount(words.places, again, minlength=len(words.texts))
    most = np.argsort(-sums, kind="stable")[: 4 * MOST].tolist()
    return {str(words.texts[place]): float(sums[place]) for place in most if sums[place]}


def _lossy(facts: Facts, rows: Sequence[SnapshotRow], now: Mapping[str, float]) -> Sequence[str]:
    """Return the peers with most retransmits, now or a moment ago."""
    found = {peer: rate for peer, rate in now.items() if rate >= _AGAIN_PER_S}
    keys = frozenset[Hashable]() if facts.past else facts.history.unusual(SENT_AGAIN)
    if len(keys) <= _LOOKED_AT:
        for key in keys:
            place = _place(facts, key)
            if place is not None:
                peer = str(rows[place]["raddr"])
                found.setdefault(peer, now.get(peer, 0.0))
    return nlargest(2 * MOST, found, key=lambda peer: (found[peer], peer))


def _to(rows: Sequence[SnapshotRow], peer: str) -> list[SnapshotRow]:
    """Return the connections to a peer, those with most retransmits first; at most so many."""
    if isinstance(rows, ManyRows):
        words = _LEXICON.column("raddr", rows.cells("raddr"))
        places = np.flatnonzero(words.places == _word(words, peer))
        again = rows.per_s("retransmits")[places]
        first = places[np.argsort(-again, kind="stable")][:_NAMED]
        return [rows[place] for place in first.tolist()]
    those = [row for row in rows if row["raddr"] == peer]
    return nlargest(_NAMED, those, key=lambda row: row.rate("retransmits"))


def _word(words: Words, text: str) -> int:
    """Return a text's place; -1 if it is not there."""
    (place,) = np.flatnonzero(words.texts == text)[:1].tolist() or [-1]
    return int(place)


class _Resent(NamedTuple):
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


def _resent(
    facts: Facts, rows: Sequence[SnapshotRow], peers: Sequence[str]
) -> Mapping[str, _Resent]:
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
    return {peer: _Resent(n, sent.get(peer), seconds) for peer, n in again.items()}


def _resent_of_many(
    hook: Hook, rows: ManyRows, before: Mapping[Key, Row], peers: Sequence[str], seconds: float
) -> Mapping[str, _Resent]:
    """Return the same of many. before: the rows that they are compared with."""
    if not before:
        return {}
    table = before
    if not isinstance(table, RowTable):
        table = RowTable.of_rows(before.values(), hook.places.keys)
    at = rows.table.places_in(table)
    words = _LEXICON.column("raddr", rows.cells("raddr"))
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
        word = _word(words, peer)
        of = float(sent_sums[word]) if counted[word] else None
        found[peer] = _Resent(float(sums[word]), of, seconds)
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


def _loss(facts: Facts, peer: str, found: _Resent, rows: Sequence[SnapshotRow]) -> Claim | None:
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
    since = [v.since for v in said if v.since is not None and v.usual is not None]
    return Claim(
        id=f"{HOOK}/{peer}/retransmits",
        severity=Gravity.ALARM if grave else Gravity.NOTICE,
        what=f"segments to {_named(peer, those)} are retransmitted",
        now=found.per_s,
        unit=Unit.COUNT,
        share=share,
        of="segments sent",
        since=min(since, default=None),
        struck=found.per_s,
        who=_who(those, lambda row: row.rate("retransmits")),
        where=Where(address=peer, port=_port(those)),
        evidence=tuple(_sent(found, those)),
        next=(f"ss -tin dst {peer}", f"mtr --tcp -n {peer}"),
        pane="rtt",
        rows=tuple([ClaimedRow(HOOK, row.key) for row in those]),
        figure=SENT_AGAIN,
        key=those[0].key,
        ties=_ties(those, peer, path=True),
        depth=1,
    )


def _sent(found: _Resent, those: Sequence[SnapshotRow]) -> Iterable[Evidence]:
    if found.of:
        seconds = f"{found.seconds:.0f} s"
        text = f"{units.count(found.number)} of {units.count(found.of)} segments in {seconds}"
        yield Evidence(HOOK, text, found.number)
    if trip := those[0].number("srtt_us"):
        yield Evidence(HOOK, f"round trip {units.duration(trip * 1000)}", trip)


# -- both ------------------------------------------------------------------------------------------


def _named(peer: str, rows: Sequence[SnapshotRow]) -> str:
    """Return the peer, with its port if all are to the same."""
    port = _port(rows)
    if port is None:
        return peer
    return f"[{peer}]:{port}" if ":" in peer else f"{peer}:{port}"


def _port(rows: Sequence[SnapshotRow]) -> int | None:
    """Return the peer's port, where it is a service's and the same of all."""
    ports = {row["rport"] for row in rows if row.number("rport") < row.number("lport")}
    port = next(iter(ports), None)
    return port if len(ports) == 1 and isinstance(port, int) else None


def _who(rows: Sequence[SnapshotRow], rate: Callable[[SnapshotRow], float]) -> tuple[Who, ...]:
    """Return the processes that hold these connections, each once, with the most first."""
    parts = _sums(((row["comm"], row["pid"]), rate(row)) for row in rows if row["comm"] is not None)
    most = nlargest(_NAMED, parts.items(), key=lambda part: part[1])
    return tuple(
        [
            Who(str(comm), pid if isinstance(pid, int) and pid else None, rate=n)
            for (comm, pid), n in most
        ]
    )


def _sums(parts: Iterable[tuple[K, float]]) -> dict[K, float]:
    sums: dict[K, float] = {}
    for key, part in parts:
        sums[key] = sums.get(key, 0.0) + part
    return sums


def _ties(rows: Sequence[SnapshotRow], peer: str, *, path: bool) -> frozenset[Hashable]:
    """Return what claims of the same way have in common, told from either of its ends."""
    if not path or peer == "::1" or peer.startswith("127."):
        return frozenset()
    ways = {("way", *sorted((str(row["laddr"]), peer))) for row in rows[:_NAMED]}
    return frozenset({("peer", peer), *ways})


DETECTOR = Detector("trips", (HOOK,), lambda facts: trips(facts).claims, (TRIP, SENT_AGAIN))
