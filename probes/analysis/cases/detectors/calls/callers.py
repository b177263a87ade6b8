"""The processes that make a call."""

from __future__ import annotations

from typing import NamedTuple

from probes import units
from probes.analysis.cases.claim import Who
from probes.analysis.cases.detectors.calls.suspect import BY
from probes.analysis.facts import Facts
from probes.analysis.many import SomeRows
from probes.analysis.snapshot_row import SnapshotRow
from probes.columns.lexicon import Lexicon
from probes.model import HookId

NAMED = 4
"""Processes that are named."""
_LEXICON = Lexicon()


class Caller(NamedTuple):
    """A process that makes a call. calls, failures: a second. mean: of the call, in ns.

    pid: None where it has none here, as it is in another pid namespace.
    """

    comm: str
    pid: int | None
    calls: float
    failures: float
    errno: str | None
    mean: float

    @property
    def share(self) -> float:
        return min(self.failures / self.calls, 1.0) if self.calls else 0.0

    def who(self, rate: float) -> Who:
        return Who(self.comm, self.pid, rate=rate)

    @property
    def name(self) -> str:
        return units.process(self.comm, self.pid)


def callers_of(facts: Facts, call: str, *, errors: bool = False) -> list[Caller]:
    """Return the processes that make the call: those with most failures first, then calls.

    errors: ordinary answers count as failures as well.
    """
    snapshot = facts.snapshots.get(HookId(BY, call))
    if snapshot is None:
        return []
    rows = SomeRows.of(snapshot.rows, _LEXICON)
    told = not errors and "failures" in snapshot.hook.places.names
    failures = "failures" if told else "errors"
    first = rows.first(2 * NAMED, rows.rates(failures), rows.rates("calls"))
    return [_caller(row, failures) for row in first]


def _caller(row: SnapshotRow, failures: str) -> Caller:
    rate = row.rates.get(failures)
    failed = row.rate("errors") if rate is None else rate
    errno = row.stored.get("errno")
    pid = row["pid"]
    return Caller(
        str(row["comm"]), pid if isinstance(pid, int) and pid else None, row.rate("calls"), failed,
        str(errno) if errno is not None else None, row.number("mean_ns"),
    )  # fmt: skip
