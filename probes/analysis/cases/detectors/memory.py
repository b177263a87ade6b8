"""Claims of memory shortage: of a cgroup, the host, or all sockets; and of OOM kills."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence

from probes import units
from probes.analysis.anomaly import Threshold
from probes.analysis.cases.claim import Claim, ClaimedRow, Evidence, Gravity, Where, Who
from probes.analysis.cases.detector import MOST, Detector
from probes.analysis.cases.drop_causes import RULE_DEPTH
from probes.analysis.facts import Facts
from probes.analysis.history import Figure
from probes.analysis.snapshot import Snapshot
from probes.analysis.snapshot_row import SnapshotRow
from probes.units import Unit

HOOK, HOST = "memory", "host"
SOME, MUCH, ALL = 0.05, 0.2, 0.1
"""Shares of the time: in which some wait, a notice, an alarm; in which all do, an alarm."""
FULL = 0.95
"""The share of its limit from which a cgroup is at it."""
_KNOBS = {"TCP sockets": "net.ipv4.tcp_mem", "UDP sockets": "net.ipv4.udp_mem"}


def _claims(facts: Facts) -> Sequence[Claim]:
    return facts.once_read(_claimed, HOOK)[:MOST]


def _claimed(facts: Facts) -> Sequence[Claim]:
    rows = facts.rows(HOOK)
    killed = [row for row in rows if row.rates.get("oom_kill")]
    found = [_waiting(facts, row) for row in _telling(rows)]
    found += [_killed(row) for row in killed if _deepest(row, killed)]
    found += [claim for row in rows if (claim := _of_sockets(row)) is not None]
    return sorted(found, key=lambda claim: (claim.severity, claim.struck), reverse=True)


# -- who waits ---------------------------------------------------------------------------------


def share(row: SnapshotRow) -> float:
    """Return the share of the time in which some wait."""
    return min(row.rate("some_ns") / 1e9, 1.0)


def _telling(rows: Sequence[SnapshotRow]) -> Iterator[SnapshotRow]:
    """Yield the cgroups whose waiting is not that of one below; the host if it is no cgroup's."""
    some = [row for row in rows if _name(row) not in _KNOBS and share(row) >= SOME]
    groups = [row for row in some if _name(row) != HOST]
    for row in groups:
        below = [one for one in groups if _name(one).startswith(f"{_name(row).rstrip('/')}/")]
        if not any(share(one) >= share(row) / 2 for one in below):
            yield row
    if not groups:
        yield from some


def _waiting(facts: Facts, row: SnapshotRow) -> Claim:
    waits, all_wait = share(row), min(row.rate("full_ns") / 1e9, 1.0)
    severity = Gravity.ALARM if waits >= MUCH or all_wait >= ALL else Gravity.NOTICE
    name = _name(row)
    verdict = facts.verdict(WAITS, name)
    text = f"some wait for memory {units.percent(100 * waits)} of the time, all at once "
    evidence = [Evidence(HOOK, f"{text}{units.percent(100 * all_wait)}", 100 * waits)]
    return Claim(
        id=f"{HOOK}/{name}",
        severity=severity,
        what=_what(row),
        now=100 * waits,
        unit=Unit.PERCENT,
        pane="hooks",
        share=waits,
        of="the time",
        usual=facts.usual(WAITS, name),
        since=verdict.since if verdict.usual is not None else None,
        struck=100 * waits if severity is Gravity.ALARM else 0.0,
        who=_who(row),
        where=Where(),
        evidence=(*evidence, *_limits(row)),
        next=_next(name),
        rows=(ClaimedRow(HOOK, row.key),),
        figure=WAITS,
        key=name,
        depth=RULE_DEPTH,
    )


def _what(row: SnapshotRow) -> str:
    name = _name(row)
    if name == HOST:
        return "this host is short of memory"
    for bound, events, said in (
        ("limit", "max_events", "is at its memory limit"),
        ("high", "high_events", "is over its memory.high"),
    ):
        size = row.number(bound)
        if size and (row.rates.get(events) or row.number("used") >= FULL * size):
            return f"cgroup {name} {said} of {units.octets(size)}"
    return f"cgroup {name} waits for memory"


def _limits(row: SnapshotRow) -> Iterator[Evidence]:
    if used := row.number("used"):
        of = f" of {units.octets(limit)}" if (limit := row.number("limit")) else ""
        yield Evidence(HOOK, f"{units.octets(used)}{of} in use", used)


def _who(row: SnapshotRow) -> tuple[Who, ...]:
    comm, pid = row.stored.get("comm"), row.stored.get("pid")
    return (Who(str(comm), pid),) if comm and isinstance(pid, int) else ()


def _next(name: str) -> tuple[str, ...]:
    if name == HOST:
        return ("ps -eo pid,comm,rss --sort=-rss | head", "cat /proc/meminfo")
    return ("systemd-cgtop -m", f"cat /sys/fs/cgroup{name}/memory.stat")


# -- who is killed -----------------------------------------------------------------------------


def _deepest(row: SnapshotRow, rows: Sequence[SnapshotRow]) -> bool:
    """Return whether none of these is below it, whose processes are counted here, too."""
    begin = "" if _name(row) == HOST else _name(row).rstrip("/")
    return not any(_name(one).startswith(f"{begin}/") for one in rows if one is not row)


def _killed(row: SnapshotRow) -> Claim:
    name, rate = _name(row), row.rate("oom_kill")
    where = "this host" if name == HOST else f"cgroup {name}"
    return Claim(
        id=f"{HOOK}/{name}/killed",
        severity=Gravity.ALARM,
        what=f"out of memory: processes of {where} are killed",
        now=rate,
        unit=Unit.COUNT,
        pane="hooks",
        struck=rate,
        who=_who(row),
        evidence=(Evidence(HOOK, f"{units.count(rate)}/s killed", rate), *_limits(row)),
        next=("journalctl -k -g 'Killed process'", *_next(name)),
        rows=(ClaimedRow(HOOK, row.key),),
        depth=RULE_DEPTH,
    )


# -- what sockets take -------------------------------------------------------------------------


def _of_sockets(row: SnapshotRow) -> Claim | None:
    """Return a claim of sockets that take more than where the kernel begins to be short."""
    name, used = _name(row), row.number("used")
    high, limit = row.number("high"), row.number("limit")
    if name not in _KNOBS or not high or used < high:
        return None
    protocol = name.partition(" ")[0].lower()
    text = f"{units.octets(used)} of {units.octets(limit)}, short from {units.octets(high)} on"
    return Claim(
        id=f"{HOOK}/{protocol}",
        severity=Gravity.ALARM,
        what=f"{name} are short of memory: {_KNOBS[name]}",
        now=100 * used / limit,
        unit=Unit.PERCENT,
        pane="hooks",
        share=min(used / limit, 1.0),
        of="their limit",
        struck=100 * used / limit,
        evidence=(Evidence(HOOK, text, used),),
        next=("cat /proc/net/sockstat", "ss -tmp" if protocol == "tcp" else "ss -ump"),
        knobs=(_KNOBS[name],),
        rows=(ClaimedRow(HOOK, row.key),),
        ties=frozenset({("memory", protocol)}),
        depth=RULE_DEPTH,
    )


def _name(row: SnapshotRow) -> str:
    return str(row.stored["where"])


# -- history -----------------------------------------------------------------------------------


def _shares(snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    return {_name(row): 100 * share(row) for s in snapshots for row in s.rows}


WAITS = Figure(
    "memory-waits", "waits for memory", Unit.PERCENT, HOOK, _shares, wrong=True,
    rule=Threshold(100 * SOME, alarm=100 * MUCH),
)  # fmt: skip

DETECTOR = Detector("memory", (HOOK,), _claims, (WAITS,))
"""Detector of waits for memory, and of OOM kills."""
