"""Connects that fail, hang, take long, or find no local port: by destination, or by who scans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from errno import errorcode
from typing import TYPE_CHECKING, NamedTuple

from probes import units
from probes.analysis.anomaly import LEARN, Threshold
from probes.analysis.by_row import ByRow, SumBy
from probes.analysis.cases.attempts import Attempts
from probes.analysis.cases.claim import Claim, ClaimedRow, Evidence, Gravity, Where, Who
from probes.analysis.cases.detector import MOST, Detector
from probes.analysis.cases.drops_by_port import are_known, dropped_to
from probes.analysis.facts import Facts
from probes.analysis.history import Figure
from probes.analysis.many import SomeRows, many_of, near, places_with, rows_of, verdicts
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import np
from probes.columns.lexicon import Lexicon
from probes.model import Value
from probes.units import Unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Places = NDArray[np.intp]
    Flags = NDArray[np.bool_]

HOOK = "tcp-connect"
BY_PLACE = Figure(
    "connect-place", "failed/s", Unit.COUNT, HOOK, SumBy(("raddr", "rport"), "failed"),
    wrong=True, rule=Threshold(0.05, alarm=0.05),
)  # fmt: skip
"""Failing connects of each destination: any is noted, with its start and the usual rate."""
SLOW = Figure(
    "connect-mean", "mean time", Unit.NS, HOOK, ByRow("mean_ns"),
    rule=Threshold(50e6, times=4, absent=None),
)  # fmt: skip
WAYS: Mapping[str, str] = {
    "refused": "refused",
    "timed_out": "timed out",
    "unreachable": "unreachable",
    "gave_up": "given up",
    "no_port": "no local port",
    "other": "not established",
}
"""How connects fail: the counter, and its words."""
_HANGS, _SAID = "late", {**WAYS, "late": "no answer", "gave_up": "no answer, given up"}
_ERRORS = {"refused": "ECONNREFUSED", "timed_out": "ETIMEDOUT", "no_port": "EADDRNOTAVAIL"}

SHARE, LITTLE = 0.10, 0.01
"""Shares of the attempts from which failures harm somebody, and from which they are told."""
FLOOR, LEAST = 0.3, 3
"""Failures a second, and failures seen or late attempts, below which nothing is an alarm."""
LONG = 2.5
"""Seconds after which an attempt is lost that was sent twice again, whatever others do."""
TICK_ENOUGH = 8
"""Attempts decided in a second from which that second's share is told, and not the last ten's."""
LATELY = 4
"""Readings without any failure that end a claim."""
PORTS, ADDRESSES = 3, 8
"""Ports of one address, and addresses at one port, from which a process's failures are one row."""
SCAN, FEW_EACH = 8, 4
"""Places from which it is a scan, if each was tried at most so often in ten seconds."""
LONGEST = 60.0
"""Seconds that late attempts are compared with, at most."""
SLOW_BUCKET, SLOW_NS = 29, 5e8
"""Where SYNs that were sent again end: the histogram's bucket, and a mean's least time."""
_NOT_HERE = "0"
"""A network namespace that is not this host's, nobody knows which."""
_CALLERS, _ROWS, _OF_HISTORY = 8, 8, 8

_Place = tuple[Value, Value]
_Told = tuple[Claim, "Places"]
"""A claim, and the places of the rows that it is about."""
_LEXICON = Lexicon()


@dataclass(frozen=True)
class _Group:
    """What is told as one. bad: rows that fail or hang. all: rows of the same attempts.

    address, port: None: several, of which there are `number`.
    """

    bad: Places
    all: Places
    address: Value
    port: Value
    number: int = 1

    @property
    def named(self) -> str:
        if self.port is None:
            return f"{self.address}, {self.number} ports"
        if self.address is None:
            return f"{self.number} addresses, port {self.port}"
        return end(self.address, self.port)


@dataclass(frozen=True)
class _Measured:
    """A group's numbers. failing: a second; late: attempts that wait. ways: a second, of each.

    share: of the attempts; None: those that do well are not counted yet.
    """

    failing: float
    unanswered: float
    share: float | None
    seen: float
    late: int
    pending: int
    oldest: float
    ways: Mapping[str, float]

    @property
    def harms(self) -> bool:
        if self.share is None:
            return self.late >= LEAST and self.oldest >= LONG
        much = self.seen >= LEAST and self.failing >= FLOOR
        return self.share >= SHARE and (much or self.late >= LEAST)

    @property
    def way(self) -> str:
        """How most of them end; what is not known to be anything else has had no answer."""
        rates = {**self.ways, _HANGS: self.late / max(self.oldest, 1.0)}
        if self.late:
            rates["other"] = 0
        return max(rates, key=rates.__getitem__)


def end(address: Value, port: Value) -> str:
    """Return "10.0.0.5:5432" or "[::1]:80"."""
    return f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"


class ClaimedConnects(NamedTuple):
    """Claims on connects, the worst first, and the rows that they are about.

    marks: the `Gravity` of each row, 0: nothing; None: of no row.
    """

    claims: Sequence[Claim] = ()
    marks: NDArray[np.uint8] | None = None


def claimed(facts: Facts) -> ClaimedConnects:
    """Return what is wrong at a moment."""
    return facts.once_read(_found, HOOK, "drops", "tcp-rtt")


def _claims(facts: Facts) -> Sequence[Claim]:
    return claimed(facts).claims


def _found(facts: Facts) -> ClaimedConnects:
    snapshots = facts.of(HOOK)
    if len(snapshots) != 1 or not _may_be(facts, snapshots[0].rows):
        return ClaimedConnects()
    attempts = Attempts(facts, snapshots[0])
    failing = sorted(_failing(facts, attempts), key=_gravest, reverse=True)
    told = {_where(claim) for claim, _ in failing}
    slow = [one for one in _slow(facts, attempts) if _where(one[0]) not in told]
    marks = np.zeros(len(attempts), "u1")
    for claim, rows in (*failing, *slow):
        marks[rows] = np.maximum(marks[rows], int(claim.severity))
    return ClaimedConnects(_errors_once([claim for claim, _ in (*failing, *slow)])[:MOST], marks)


def _where(claim: Claim) -> tuple[str | None, int | None]:
    return claim.where.address, claim.where.port


def _may_be(facts: Facts, rows: Sequence[SnapshotRow]) -> bool:
    """Whether it is worth looking at: a few calm rows need no arrays."""
    if isinstance(rows, ManyRows) or facts.past:
        return bool(rows)
    if facts.history.unusual(BY_PLACE) or facts.history.unusual(SLOW):
        return True
    for row in rows:
        if row.rates["failed"] or row.stored["late"] or row.number("mean_ns") >= SLOW_NS:
            return True
    return False


def _gravest(found: _Told) -> tuple[float, ...]:
    claim, _ = found
    return claim.severity, claim.struck, claim.now


# -- what fails or hangs -----------------------------------------------------------------------


def _failing(facts: Facts, a: Attempts) -> Iterator[_Told]:
    for group in _groups(a):
        measured = _measure(a, group)
        much = measured.share is None or measured.share >= LITTLE
        told = much and _goes_on(facts, a, group, measured)
        if told and not _tried_both(a, group):
            yield _claim(facts, a, group, measured), group.bad


def _groups(a: Attempts) -> Iterator[_Group]:
    bad = a.number("late") > 0
    if a.snapshot.interval is not None:
        bad |= a.recent("failed") > 0
    for by, other, least in ((("comm", "raddr"), "rport", PORTS),
                             (("comm", "rport"), "raddr", ADDRESSES)):  # fmt: skip
        if np.count_nonzero(bad) >= least:
            number = a.groups(*by)
            several = _several(number, a.groups(*by, other), bad, least)
            for one in _worst(a, number, bad & np.isin(number, list(several))):
                mine = number == one
                group = _group(a, mine & bad, mine, several[one])
                ports = other == "rport"
                yield replace(group, port=None) if ports else replace(group, address=None)
            bad &= ~np.isin(number, list(several))
    if not bad.any():
        return
    number = a.by_place
    for one in _worst(a, number, bad):
        yield _group(a, (number == one) & bad, number == one)


def _several(number: Places, both: Places, bad: Flags, least: int) -> dict[int, int]:
    """Return the groups whose bad rows have at least so many different others, and how many."""
    rows = np.flatnonzero(bad)
    _, first = np.unique(both[rows], return_index=True)
    counts = np.bincount(number[rows[first]])
    found = np.flatnonzero(counts >= least)
    return dict(zip(found.tolist(), counts[found].tolist(), strict=True))


def _worst(a: Attempts, number: Places, bad: Flags) -> list[int]:
    """Return the groups with most bad attempts."""
    weights = np.where(bad, a.recent("failed") + a.number("late"), 0.0)
    sums = np.bincount(number, weights)
    order: list[int] = np.argsort(-sums, kind="stable")[:MOST].tolist()
    return [one for one in order if sums[one] > 0]


def _group(a: Attempts, bad: Flags, all: Flags, number: int = 1) -> _Group:
    rows = np.flatnonzero(bad)
    weights = a.recent("failed")[rows] + a.number("late")[rows]
    rows = rows[np.argsort(-weights, kind="stable")]
    address, port = (a.values(name, rows[:1].tolist())[0] for name in ("raddr", "rport"))
    return _Group(rows, np.flatnonzero(all), address, port, number)


def _measure(a: Attempts, group: _Group) -> _Measured:
    """Return what is counted of a group: of this second if that tells enough, else of the last."""
    bad, all = group.bad, group.all
    seen = float(a.recent("failed")[bad].sum())
    failing = float(a.per_s("failed")[bad].sum())
    answered = float(a.per_s("established")[all].sum())
    begun = float(a.per_s("connects")[bad].sum())
    ways = {way: float(a.per_s(way)[bad].sum()) for way in WAYS}
    if failing + answered < TICK_ENOUGH:
        ways = {way: float(a.recent(way)[bad].sum()) / a.seconds for way in WAYS}
        failing, answered, begun = (
            float(a.recent(name)[rows].sum()) / a.seconds
            for name, rows in (("failed", bad), ("established", all), ("connects", bad))
        )
    late, pending = (int(a.number(name)[bad].sum()) for name in ("late", "pending"))
    oldest = float(a.number("oldest_ns")[bad].max(initial=0)) / 1e9
    span = min(max(oldest - 1.0, 1.0), LONGEST) if late else 1.0
    decided = late + (failing + answered) * span
    share = (late + failing * span) / decided if decided else 0.0
    known = a.snapshot.interval is not None
    hang = max(begun - failing - answered, late / max(oldest, 1.0)) if late else 0.0
    return _Measured(
        failing, failing + hang, share if known else None, seen, late, pending, oldest, ways
    )


def _goes_on(facts: Facts, a: Attempts, group: _Group, m: _Measured) -> bool:
    if m.late or float(a.per_s("failed")[group.bad].sum()) > 0:
        return True
    latest = (facts.series(BY_PLACE, place, LATELY) for place in _places(a, group))
    return any(value for values in latest for value in values)


def _places(a: Attempts, group: _Group) -> list[_Place]:
    """Return the destinations of a group, the worst first; not of a very large one."""
    rows = group.bad[: _OF_HISTORY * 4].tolist()
    pairs = zip(a.values("raddr", rows), a.values("rport", rows), strict=True)
    return list(dict.fromkeys(pairs))[:_OF_HISTORY]


def _tried_both(a: Attempts, group: _Group) -> bool:
    """Whether who fails by IPv6 is answered by IPv4: that is how both are tried."""
    if group.address is None or group.port is None or ":" not in str(group.address):
        return False
    callers = set(a.values("comm", group.bad[:_ROWS].tolist()))
    answered = a.recent("established")
    rows = np.flatnonzero((answered > 0) & (a.number("rport") == group.port))[:512].tolist()
    pairs = zip(rows, a.values("comm", rows), a.values("raddr", rows), strict=True)
    others = sum(
        answered[n] for n, comm, raddr in pairs if comm in callers and ":" not in str(raddr)
    )
    return bool(
        others >= 0.5 * (a.recent("failed")[group.bad].sum() + a.number("late")[group.bad].sum())
    )


def _claim(facts: Facts, a: Attempts, group: _Group, m: _Measured) -> Claim:
    places = _places(a, group)
    single = group.port is not None and group.address is not None
    alarm = m.harms and not _scans(a, group, m)
    way, rows, who = m.way, group.bad[:_ROWS].tolist(), _callers(a, group, m)
    return Claim(
        _id(a, group),
        Gravity.ALARM if alarm else Gravity.NOTICE,
        f"{group.named}: {_how(a, group, way)}",
        m.unanswered,
        Unit.COUNT,
        "connects",
        share=m.share,
        of="connects",
        usual=facts.usual(BY_PLACE, places[0]) if single else None,
        since=_since(facts, a, places, m),
        struck=m.unanswered,
        who=who,
        where=_whereabouts(group, who),
        evidence=tuple(_evidence(facts, a, group, m, who)),
        next=_next(way, places[0], group, who),
        rows=tuple(ClaimedRow(HOOK, a.key(n)) for n in rows),
        figure=BY_PLACE if single else None,
        key=places[0],
        ties=frozenset(_ties(facts, a, group, places, m)),
        depth=1,
    )


def _whereabouts(group: _Group, who: Sequence[Who]) -> Where:
    """Return the destination; of processes without a pid here, as that of another container."""
    beyond = bool(who) and all(one.pid == 0 for one in who)
    netns = _NOT_HERE if beyond else ""
    return Where(netns=netns, port=_port(group.port), address=_text(group.address), call="connect")


def _scans(a: Attempts, group: _Group, m: _Measured) -> bool:
    """Whether a process tries many places, each a few times: it finds out who is there."""
    if group.number < SCAN or (m.seen + m.late) / group.number > FEW_EACH:
        return False
    worked = np.count_nonzero(a.number("established")[group.bad] > 0)
    return bool(worked * 2 < len(group.bad))


def _id(a: Attempts, group: _Group) -> str:
    if group.number == 1:
        return f"{HOOK}/{end(group.address, group.port)}"
    (comm,) = a.values("comm", group.bad[:1].tolist())
    place = group.address if group.port is None else f":{group.port}"
    return f"{HOOK}/{place}/{comm}"


def _how(a: Attempts, group: _Group, way: str) -> str:
    if way != "other":
        return _SAID[way]
    return ", ".join(_errors(a, group)) or _SAID[way]


def _errors(a: Attempts, group: _Group) -> list[str]:
    """Return the names of the latest errnos."""
    numbers = dict.fromkeys(a.values("errno", group.bad[:_ROWS].tolist()))
    return [errorcode[n] for n in numbers if isinstance(n, int) and n in errorcode]


def _since(facts: Facts, a: Attempts, places: Sequence[_Place], m: _Measured) -> float | None:
    """Return since when it is so, in Unix seconds; None: since before it was watched."""
    now = a.snapshot.sample
    first = facts.since.get(a.snapshot.id) or now
    # Where another rung has taken over, what it counts first did not begin then.
    begin = first.wall + (2.0 if first.epoch == now.epoch else 2.0 + LEARN)
    verdicts = [facts.verdict(BY_PLACE, place).since for place in places]
    found = [since for since in verdicts if since is not None]
    if m.late:
        found.append(now.wall - m.oldest)
    earliest = min(found, default=None)
    return earliest if earliest is not None and earliest > begin else None


def _callers(a: Attempts, group: _Group, m: _Measured) -> tuple[Who, ...]:
    """Return the processes with most of it, and their rates."""
    rows = group.bad[:64]
    now = a.per_s("failed")[rows]
    if not now.any():
        now = a.recent("failed")[rows] / a.seconds
    if m.late > m.seen:
        now = np.maximum(now, a.recent("connects")[rows] / a.seconds)
    by: dict[tuple[Value, Value], float] = {}
    listed = rows.tolist()
    named = zip(a.values("comm", listed), a.values("pid", listed), now.tolist(), strict=True)
    for comm, pid, rate in named:
        by[comm, pid] = by.get((comm, pid), 0.0) + rate
    first = sorted(by, key=by.__getitem__, reverse=True)[:_CALLERS]
    return tuple(
        Who(_text(comm), int(pid) if isinstance(pid, int) else None, rate=by[comm, pid])
        for comm, pid in first
    )


def _text(value: Value) -> str | None:
    return None if value is None else str(value)


def _port(value: Value) -> int | None:
    return value if isinstance(value, int) else None


# -- what else is counted of it ----------------------------------------------------------------


def _rates_of_callers(who: Sequence[Who], number: int) -> Iterator[Evidence]:
    """Tell how much the first of several do. number: of all."""
    if len(who) > 1 and who[1].rate:
        names = [f"{one.comm or '?'}[{one.pid}] {units.count(one.rate)}/s" for one in who[:2]]
        more = f" +{number - 2}" if number > 2 else ""
        yield Evidence(HOOK, ", ".join(names) + more)


def _evidence(
    facts: Facts, a: Attempts, group: _Group, m: _Measured, who: Sequence[Who]
) -> Iterator[Evidence]:
    number = len(who) if group.number > 1 or len(who) < _CALLERS else len(group.bad)
    yield from _rates_of_callers(who, number)
    some = sorted(((rate, way) for way, rate in m.ways.items() if rate), reverse=True)
    for rate, way in some[:2]:
        errors = ", ".join(_errors(a, group)) if way in ("unreachable", "other") else ""
        text = f"{WAYS[way]} {units.count(rate)}/s"
        if way == "unreachable":  # a lost route's case is named by its drops, which know no peer
            text = f"{group.named} {text}"
        yield Evidence(HOOK, f"{text} ({errors})" if errors else text, rate)
    if m.late:
        oldest = units.duration(m.oldest * 1e9)
        waiting = "1 is waiting" if m.pending == 1 else f"{m.pending} are waiting"
        first = f"for {oldest}" if m.pending == 1 else f"the oldest for {oldest}"
        yield Evidence(HOOK, f"{waiting}, {first}", float(m.pending))
    unheard = m.way in (_HANGS, "timed_out", "gave_up") and group.port is not None
    if unheard and are_known(facts) and not dropped_to(facts, "tcp", group.port):
        text = f"no packet to port {group.port} is dropped on this host"
        yield Evidence("drops", text, 0.0)
    yield from _round_trip(facts, group.address)


def _round_trip(facts: Facts, address: Value) -> Iterator[Evidence]:
    """Tell the round trip of connections to the same peer that are open."""
    if address is None:
        return
    rows = rows_of(facts, "tcp-rtt")
    places = places_with(rows, _LEXICON, {"raddr": [address]}) if len(rows) else []
    if places:
        trips = sorted(SomeRows(rows, places[:64], _LEXICON).numbers("srtt_us"))
        middle = trips[len(trips) // 2]
        if middle:
            text = f"open connections there: round trip {units.duration(middle * 1000)}"
            yield Evidence("tcp-rtt", text, middle)


def _ties(
    facts: Facts, a: Attempts, group: _Group, places: Sequence[_Place], m: _Measured
) -> Iterator[tuple[object, ...]]:
    """Return what it has in common: the peer, a port if packets to it are dropped, errnos."""
    yield from _place_ties(facts, group.address, [port for _, port in places])
    errors = [error for way, error in _ERRORS.items() if m.ways[way]]
    if m.ways["unreachable"] or m.ways["other"]:
        errors += _errors(a, group)
    for error in errors:
        yield "errno", "connect", error


def _place_ties(
    facts: Facts, address: Value, ports: Sequence[Value]
) -> Iterator[tuple[object, ...]]:
    if address is not None:
        yield "peer", address
    for port in dict.fromkeys(ports):
        if dropped_to(facts, "tcp", port):
            yield "port", "tcp", port


def _errors_once(claims: Sequence[Claim]) -> list[Claim]:
    """Leave each errno to the gravest claim that has it: calls do not tell where they failed."""
    taken: set[object] = set()
    made = []
    for claim in claims:
        made.append(replace(claim, ties=claim.ties - taken))
        taken |= {tie for tie in claim.ties if isinstance(tie, tuple) and tie[0] == "errno"}
    return made


def _next(way: str, place: _Place, group: _Group, who: Sequence[Who]) -> tuple[str, ...]:
    address, port = place
    if group.number > 1 and way != "no_port" and who and who[0].pid:
        return (f"strace -f -e trace=connect -p {who[0].pid}",)
    if way == "no_port":
        return ("sysctl net.ipv4.ip_local_port_range",)
    if way == "unreachable":
        return (f"ip route get {address}",)
    if way == "refused":
        here = str(address).startswith("127.") or address == "::1"
        return (f"ss -ltnp sport = :{port}" if here else f"nc -zv {address} {port}",)
    if way == "other":
        return ("nft list ruleset",)
    to = f"dst {address}" if group.address is not None else f"dport = :{port}"
    return (f"ss -tnpo state syn-sent {to}",)


# -- what takes long ---------------------------------------------------------------------------


def _slow(facts: Facts, a: Attempts) -> Iterator[_Told]:
    if a.snapshot.interval is None:
        return
    means = a.number("mean_ns")
    late = means >= SLOW_NS
    if many_of(facts, HOOK) is not None:
        late = late | verdicts(facts, SLOW, HOOK).unusual
    else:
        keys = near(facts, SLOW)
        late = late | np.array([row.key in keys for row in a.rows], bool)
    rows = np.flatnonzero(late)
    rows = rows[np.argsort(-means[rows], kind="stable")][:MOST]
    seen: set[_Place] = set()
    for n in rows.tolist():
        row = a.row(n)
        place = row["raddr"], row["rport"]
        if place not in seen and (claim := _slow_claim(facts, a, n, place)) is not None:
            seen.add(place)
            yield claim, np.array([n], np.intp)


def _slow_claim(facts: Facts, a: Attempts, n: int, place: _Place) -> Claim | None:
    row = a.row(n)
    verdict, mean = facts.verdict(SLOW, row.key), row.number("mean_ns")
    buckets = a.buckets(n)
    again, total = sum(buckets[SLOW_BUCKET:]), sum(buckets)
    share = again / total if total else 0.0
    usual = verdict.usual if verdict.since is not None else facts.usual(SLOW, row.key)
    harms = share >= SHARE and again >= LEAST and not (usual or 0) >= SLOW_NS / 2
    if not harms and verdict.since is None:
        return None
    first = facts.since.get(a.snapshot.id)
    since = verdict.since if verdict.usual is not None or first is None else None
    rate = row.rate("established")
    said = [Evidence(HOOK, f"{units.count(rate)}/s are answered", rate)]
    if again:
        text = f"{units.percent(100 * share)} take {units.duration(5.4e8)} or longer"
        said.append(Evidence(HOOK, f"{text}: SYNs are sent again", float(again)))
    address, port = place
    return Claim(
        f"{HOOK}/{end(address, port)}/slow",
        Gravity.ALARM if harms else Gravity.NOTICE,
        f"{end(address, port)}: slow to connect",
        mean,
        Unit.NS,
        "connects",
        share=share if again else None,
        of="connects",
        usual=usual,
        since=since,
        struck=rate * (share if again else 1.0),
        who=(Who(_text(row["comm"]), _port(row["pid"]), rate=rate),),
        where=Where(port=_port(port), address=_text(address), call="connect"),
        evidence=(*said, *_round_trip(facts, address)),
        next=(f"ss -tni dst {address}",),
        rows=(ClaimedRow(HOOK, row.key),),
        figure=SLOW,
        key=row.key,
        ties=frozenset(_place_ties(facts, address, [port])),
        depth=1,
    )


DETECTOR = Detector("connects", (HOOK,), _claims, (BY_PLACE, SLOW))
