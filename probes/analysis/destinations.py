"""Connection attempts by destination: an address and a port, or ports of an address that all fail.

A few rows are summed up one by one, many as columns, with one result.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from probes.analysis.cases.attempts import Attempts
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import np
from probes.model import Key, Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]
    Places = NDArray[np.intp]

PORTS = 3
"""Ports of one address, at all of which a command has always failed, from which they are one."""
HOW = {
    "refused": "refused", "timed_out": "timed out", "unreachable": "unreachable",
    "gave_up": "gave up", "no_port": "no port", "other": "other errno",
}  # fmt: skip
"""Words for how attempts fail, by the column that counts it."""
NO_ANSWER = "no answer"
"""The same of those that wait for a second or longer while none has failed."""


class Destination(NamedTuple):
    """Attempts to one destination.

    port: None: several, of which there are `ports`. comm, pid: of the process that fails or tries
    most; processes: how many there are; commands: all of theirs. connects, failed: a second, None:
    not known yet. share: of the attempts that ended in the last seconds, those that failed, of 1.
    how: most of them fail, now or in the last seconds. waiting, oldest: attempts under way, and
    since when, ns. mean, p99: ns; p99 of the process whose it is the greatest. rows: their places;
    first: of that which is named.
    """

    address: Value
    port: Value
    ports: int
    comm: Value
    pid: Value
    processes: int
    commands: str | None
    connects: float | None
    failed: float | None
    share: float | None
    how: str
    waiting: float
    late: float
    oldest: float | None
    mean: float | None
    p99: float | None
    rows: Sequence[int]
    first: int

    @property
    def key(self) -> Hashable:
        """The same at each reading, and no key of a row."""
        if self.port is None:
            return "ports", self.comm, self.address
        return self.address, self.port


def destinations(attempts: Attempts, *, alone: bool = False) -> list[Destination]:
    """Return the destinations of a few rows, in their order. alone: each row is one by itself."""
    rows = attempts.rows
    added = {name: attempts.added(name) for name in ("established", "failed", *HOW)}
    known = attempts.snapshot.interval is not None
    places = [[place] for place in range(len(rows))] if alone else _together(rows)
    return [_of(rows, some, added, known=known) for some in places]


def _together(rows: Sequence[SnapshotRow]) -> Iterable[list[int]]:
    folded = _folded(rows)
    found: dict[Hashable, list[int]] = {}
    for place, row in enumerate(rows):
        fold = row["comm"], row["raddr"]
        several = fold in folded and _always_fails(row)
        key = ("ports", *fold) if several else (row["raddr"], row["rport"])
        found.setdefault(key, []).append(place)
    return found.values()


def _always_fails(row: SnapshotRow) -> bool:
    return not row.number("established") and row.number("failed") > 0


def _folded(rows: Sequence[SnapshotRow]) -> set[tuple[Value, Value]]:
    ports: dict[tuple[Value, Value], set[Value]] = {}
    for row in rows:
        if _always_fails(row):
            ports.setdefault((row["comm"], row["raddr"]), set()).add(row["rport"])
    return {key for key, some in ports.items() if len(some) >= PORTS}


def _of(
    rows: Sequence[SnapshotRow], places: list[int], added: dict[str, list[float]], *, known: bool
) -> Destination:
    some = [rows[place] for place in places]
    sums = {name: sum([numbers[place] for place in places]) for name, numbers in added.items()}
    at = max(places, key=lambda place: _weight(rows[place]))
    first = rows[at]
    ports = len({row["rport"] for row in some})
    means = [(row["mean_ns"], added["established"][p]) for row, p in zip(some, places, strict=True)]
    late = sum([row.number("late") for row in some])
    return Destination(
        first["raddr"],
        first["rport"] if ports == 1 else None,
        ports,
        first["comm"],
        first["pid"],
        len({row["pid"] for row in some}),
        _commands(row["comm"] for row in some),
        sum([row.rate("connects") for row in some]) if known else None,
        sum([row.rate("failed") for row in some]) if known else None,
        _share(sums["failed"], sums["established"]),
        _how([sum([row.rate(name) for row in some]) for name in HOW])
        or _how([sums[name] for name in HOW])
        or (NO_ANSWER if late else ""),
        sum([row.number("pending") for row in some]),
        late,
        _greatest([row["oldest_ns"] for row in some]),
        _mean(means),
        _greatest([row["p99_ns"] for row in some]),
        places,
        at,
    )


def _commands(names: Iterable[Value]) -> str | None:
    """Join different commands, in the order of their rows; None: none is known."""
    known = dict.fromkeys(str(name) for name in names if name is not None)
    return ", ".join(known) if known else None


def _weight(row: SnapshotRow) -> tuple[float, float]:
    return row.rate("failed") + row.number("late"), row.rate("connects")


def _share(failed: float, established: float) -> float | None:
    return failed / (failed + established) if failed + established > 0 else None


def _how(numbers: Sequence[float]) -> str:
    """Return how most attempts failed, "" if none did."""
    most = max(numbers)
    return list(HOW.values())[list(numbers).index(most)] if most > 0 else ""


def _greatest(values: Iterable[Value]) -> float | None:
    known = [float(v) for v in values if isinstance(v, int | float)]
    return max(known, default=None)


def _mean(means: Iterable[tuple[Value, float]]) -> float | None:
    known = [(float(m), weight) for m, weight in means if isinstance(m, int | float)]
    total = sum([weight for _, weight in known])
    if not total:
        return max([mean for mean, _ in known], default=None)
    return sum([mean * weight for mean, weight in known]) / total


class ManyDestinations:
    """The destinations of many rows as columns. group: of each row the place of its own.

    first: of each the row that is named, as `Destination.comm` has it.
    """

    def __init__(self, attempts: Attempts, rows: ManyRows, *, alone: bool = False) -> None:
        self.attempts, self.rows = attempts, rows
        a = attempts
        if alone:
            self.group, several = np.arange(len(a)), np.zeros(len(a), bool)
        else:
            self.group, several = _grouped(a)
        self.number = int(self.group.max()) + 1 if len(self.group) else 0
        weights = a.per_s("failed") + a.number("late")
        order = np.lexsort((np.arange(len(a)), -a.per_s("connects"), -weights, self.group))
        _, at = np.unique(self.group[order], return_index=True)
        self.first: Places = order[at]
        self.several = several[self.first]
        self._order, self._at = np.argsort(self.group, kind="stable"), at

    def sums(self, numbers: Numbers) -> Numbers:
        """Return the sum of the rows of each."""
        found: Numbers = np.bincount(self.group, numbers, self.number).astype("f8")
        return found

    def greatest(self, column: str) -> tuple[Numbers, NDArray[np.bool_]]:
        """Return the greatest number in a column, and of which one is known."""
        reals = self.rows.reals(column) if column != "p99_ns" else self.rows.derived(column)
        if reals is None:
            return np.zeros(self.number), np.zeros(self.number, bool)
        found = np.zeros(self.number)
        np.maximum.at(found, self.group[reals.known], reals.values[reals.known])
        return found, np.bincount(self.group, reals.known, self.number) > 0

    def different(self, *columns: str) -> Places:
        """Return how many different values each has in these columns."""
        _, first = np.unique(
            self.group * (len(self.attempts) + 1) + self.attempts.groups(*columns),
            return_index=True,
        )
        return np.bincount(self.group[first], minlength=self.number)

    def means(self) -> tuple[Numbers, NDArray[np.bool_]]:
        """Return the mean times, and of which one is known."""
        reals = self.rows.derived("mean_ns")
        found, known = self.greatest("mean_ns")
        if reals is None:
            return found, known
        weights = np.where(reals.known, self.attempts.recent("established"), 0.0)
        total = self.sums(weights)
        sums = self.sums(np.where(reals.known, reals.values, 0.0) * weights)
        return np.where(total > 0, sums / np.where(total > 0, total, 1.0), found), known

    def places(self, destination: int) -> Places:
        """Return the rows of a destination."""
        end = self._at[destination + 1] if destination + 1 < self.number else len(self.group)
        return self._order[self._at[destination] : end]

    def row_key(self, place: int) -> Key:
        return self.attempts.key(place)


def _grouped(a: Attempts) -> tuple[Places, NDArray[np.bool_]]:
    """Return the destination of each row, in order of appearance, and whether it has many ports."""
    number = a.groups("raddr", "rport")
    fails = (a.number("established") == 0) & (a.number("failed") > 0)
    by, ends = a.groups("comm", "raddr"), a.groups("comm", "raddr", "rport")
    rows = np.flatnonzero(fails)
    _, first = np.unique(ends[rows], return_index=True)
    counts = np.bincount(by[rows[first]], minlength=int(by.max()) + 1 if len(by) else 0)
    several = fails & (counts[by] >= PORTS)
    number = np.where(several, by + len(a) + 1, number)
    _, begin, group = np.unique(number, return_index=True, return_inverse=True)
    rank = np.empty(len(begin), np.intp)
    rank[np.argsort(begin)] = np.arange(len(begin))
    return rank[group.reshape(-1)], several
