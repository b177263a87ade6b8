"""What output is restricted to: one interface, one process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from probes.analysis.cases.finding import Finding
from probes.analysis.snapshot import Snapshot
from probes.model import Enforced, Hook, TargetKind, Value

INTERFACE, PID = "interface", "pid"
"""Columns that name what a row is about."""


class Scope(NamedTuple):
    """An interface, a process, both, or neither: everything.

    Of each hook, those rows are shown that agree with every part that its columns can tell. Hooks
    that can tell none are left out.
    """

    interface: str | None = None
    pid: int | None = None

    @property
    def asked(self) -> dict[str, Value]:
        """The parts that are given, by column."""
        parts: dict[str, Value] = {INTERFACE: self.interface, PID: self.pid}
        return {name: value for name, value in parts.items() if value is not None}

    def tells(self, hook: Hook) -> bool:
        """Return whether rows of this hook can be within the scope."""
        names = {column.name for column in (*hook.columns, *(hook.log or ()))}
        return not self.asked or bool(names & self.asked.keys())

    def snapshots(self, there: Iterable[Snapshot]) -> list[Snapshot]:
        """Return the snapshots with the rows and log entries that are within the scope."""
        if not self.asked:
            return list(there)
        return [self._of(s) for s in there if self.tells(s.hook) and not self._elsewhere(s)]

    def findings(self, there: Iterable[Finding]) -> list[Finding]:
        """Return the findings at this interface, or with this process among those who take part."""
        return [finding for finding in there if not self.asked or self._concerns(finding)]

    def rules(self, there: Iterable[Enforced]) -> tuple[Enforced, ...]:
        return tuple([rule for rule in there if self.has_interface(rule.interface)])

    def has_interface(self, name: str) -> bool:
        """Return whether what belongs to an interface alone is shown."""
        return not self.asked or name == self.interface

    def _elsewhere(self, snapshot: Snapshot) -> bool:
        """Return whether it is about another interface as a whole."""
        of_one = snapshot.hook.target is TargetKind.INTERFACE and self.interface is not None
        return of_one and snapshot.id.target != self.interface

    def _of(self, snapshot: Snapshot) -> Snapshot:
        columns = {c.name for c in snapshot.hook.columns} & self.asked.keys()
        rows = [r for r in snapshot.rows if all(r[n] == self.asked[n] for n in columns)]
        at = {c.name: i for i, c in enumerate(snapshot.hook.log or ()) if c.name in self.asked}
        log = [e for e in snapshot.sample.log if at and self._has(e, at)]
        return replace(
            snapshot, rows=rows if columns else (), sample=replace(snapshot.sample, log=tuple(log))
        )

    def _has(self, entry: Sequence[object], at: dict[str, int]) -> bool:
        return all(entry[place] == self.asked[name] for name, place in at.items())

    def _concerns(self, finding: Finding) -> bool:
        head, who = finding.case.head, finding.case.who
        here = self.interface is not None and head.where.interface == self.interface
        return here or (self.pid is not None and any(one.pid == self.pid for one in who))


EVERYTHING = Scope()
