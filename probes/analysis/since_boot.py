"""Averages since boot: what is usual, at the first second of a watch.

Of counters that the kernel has kept all the time, up to the first reading: what is wrong now is no
part of it, unless it lasts. A network namespace or an interface may be younger than the host; how
long it counts is then not known, and time since boot is the upper bound: the average is at least as
much as is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from probes import units
from probes.analysis.facts import Facts
from probes.model import HookId, Key, Row, Value

COUNTERS, BOOT = "net-counters", "boot"
"""The hook, and its word for counters that have counted since boot."""
LEAST_AGE = 600.0
"""Seconds since boot from which an average means something."""
SHARES = {"TcpRetransSegs": "TcpOutSegs", "TcpAttemptFails": "TcpActiveOpens"}
"""Counters that grow with others: their share is compared."""
TRAFFIC = frozenset({"TcpInSegs", "UdpInDatagrams", "UdpOutDatagrams", *SHARES.values()})
"""Counters of nothing that is wrong."""
TIMES = 3.0
"""Times the average from which a rate is not as since boot."""
FLOOR = 5.0
"""Events a second below which no counter is above its average."""


class Average(NamedTuple):
    """Counters' average since boot, and their rate now. Both a second.

    names: of the counters. least: it is at least as much, as they may count for less long.
    """

    per_s: float
    now: float
    names: tuple[str, ...]
    least: bool = False

    @property
    def ordinary(self) -> bool:
        """Whether the rate is as since boot."""
        return self.now <= TIMES * self.per_s

    def text(self, together: str = "") -> str:
        """Return "0.2/s since boot on all ports (UdpRcvbufErrors)". together: "on all ports"."""
        most = "at least " if self.least and self.per_s else ""
        of = f" {together}" if together else ""
        return f"{most}{rate(self.per_s)} since boot{of} ({' + '.join(self.names)})"


def rate(per_s: float) -> str:
    """Return a rate of things that may be rare: "0/s", "0.2/s", "12/h", "0.3/d"."""
    for seconds, unit in ((1, "s"), (3600, "h")):
        if per_s * seconds >= 0.095:
            return f"{units.count(per_s * seconds)}/{unit}"
    return f"{units.count(per_s * 86400)}/d" if per_s else "0/s"


def of_counters(facts: Facts, names: Iterable[str]) -> Average | None:
    """Return the sum of those counters that this kernel has; None: nothing is known of them."""
    known = facts.once_read(_averages, COUNTERS)
    found = [known[name] for name in names if name in known]
    return _sum(found) if found else None


def of_rows(facts: Facts, hook: str, keys: Iterable[Key], columns: Sequence[str]) -> Average | None:
    """Return the same of counters of rows, such as those of interfaces.

    They have counted since the interface was made, which may be later than boot.
    """
    first = _first(facts, hook)
    seconds = uptime(facts)
    if seconds is None or first is None:
        return None
    now = {row.key: row for row in facts.rows(hook)}
    known = [key for key in keys if key in now and key in first.rows]
    found = [
        Average(first.number(key, column) / seconds, now[key].rate(column), (column,), least=True)
        for key in known
        for column in columns
    ]
    return _sum(found) if found else None


class ShareSinceBoot(NamedTuple):
    """The share that one counter is of another, since boot and now. 0 to 1."""

    average: float
    now: float

    @property
    def ordinary(self) -> bool:
        """Whether it is as since boot."""
        return self.now <= TIMES * self.average


def share_of(facts: Facts, name: str) -> ShareSinceBoot | None:
    """Return the share of a counter that grows with another one (`SHARES`); None: not known.

    Nor is it of a namespace that may be younger: all that it has counted may be of now.
    """
    part, whole = (of_counters(facts, [one]) for one in (name, SHARES[name]))
    if part is None or whole is None or part.least or not whole.per_s:
        return None
    return ShareSinceBoot(part.per_s / whole.per_s, part.now / whole.now if whole.now else 0.0)


def above(facts: Facts) -> list[Average]:
    """Return what goes wrong a lot more often than since boot, the most frequent first."""
    known = facts.once_read(_averages, COUNTERS)
    found = [one for name, one in known.items() if one.now >= FLOOR and not _ordinary(facts, name)]
    return sorted(found, key=lambda one: -one.now)


def _ordinary(facts: Facts, name: str) -> bool:
    if name in SHARES and (share := share_of(facts, name)) is not None:
        return share.ordinary
    return name in TRAFFIC or facts.once_read(_averages, COUNTERS)[name].ordinary


def said(facts: Facts) -> str:
    """Say whether counters are at their average since boot; "" where that is not known."""
    if not facts.once_read(_averages, COUNTERS) or not any(
        snapshot.interval for snapshot in facts.of(COUNTERS)
    ):
        return ""
    found = above(facts)
    if not found:
        return "counters are at their average since boot"
    if any(one.least for one in found):
        return ""  # it may be no more than since the namespace was made
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"{found[0].names[0]} is above its average since boot{more}"


def uptime(facts: Facts) -> float | None:
    """Return the seconds from boot to the first reading; None: not known, or too few."""
    first = _first(facts, COUNTERS)
    if first is None:
        return None
    age = max([first.number(key, "age") for key in first.rows], default=0.0) / 1e9
    return age if age >= LEAST_AGE else None


class _First(NamedTuple):
    """A hook's first reading. names: of the columns."""

    rows: Mapping[Key, Row]
    names: Sequence[str]

    def value(self, key: Key, column: str) -> Value:
        return self.rows[key][self.names.index(column)]

    def number(self, key: Key, column: str) -> float:
        value = self.value(key, column)
        return float(value) if isinstance(value, int | float) else 0.0


def _first(facts: Facts, hook: str) -> _First | None:
    sample, snapshots = facts.since.get(HookId(hook)), facts.of(hook)
    if sample is None or not snapshots:
        return None
    return _First(sample.rows, snapshots[0].hook.places.names)


def _averages(facts: Facts) -> Mapping[str, Average]:
    """Return the average of each counter, by its name."""
    seconds, first = uptime(facts), _first(facts, COUNTERS)
    if seconds is None or first is None:
        return {}
    return {
        name: Average(
            first.number(row.key, "events") / seconds,
            row.rate("events"),
            (name,),
            least=row.stored.get("since") != BOOT,
        )
        for row in facts.rows(COUNTERS)
        if (name := str(row.stored["counter"])) and row.key in first.rows
    }


def _sum(found: Sequence[Average]) -> Average:
    names = [name for one in found if one.per_s or one.now for name in one.names]
    return Average(
        sum([one.per_s for one in found]),
        sum([one.now for one in found]),
        tuple(dict.fromkeys(names)) or found[0].names,
        any(one.least for one in found),
    )
