"""Scope of output: one interface, process, container, unit or network namespace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from probes.analysis.cases.claim import Who
from probes.analysis.cases.finding import Finding
from probes.analysis.snapshot import Snapshot
from probes.model import Enforced, Hook, TargetKind, Value

KINDS = ("container", "pod", "unit", "netns", "pid", "interface")
"""Kinds that a scope can name. pod: the containers of NAMESPACE/POD."""


class Scope(NamedTuple):
    """Parts that are asked for; none: everything.

    Of each hook, those rows are shown that agree with every part that its columns can tell. Hooks
    that can tell none are left out. container: by its name, or a beginning or an end of
    NAMESPACE/POD/CONTAINER. unit: with or without ".service". netns: by name.
    """

    interface: str | None = None
    pid: int | None = None
    container: str | None = None
    unit: str | None = None
    netns: str | None = None

    @property
    def asked(self) -> dict[str, Value]:
        """The parts that are given, by column."""
        columns = ("interface", "pid", "container", "unit", "netns_name")
        parts = zip(columns, self, strict=True)
        return {name: value for name, value in parts if value is not None}

    def is_named(self, column: str, names: Iterable[str]) -> bool:
        """Return whether one of these names is asked for; True where that column is not."""
        wanted = self.asked.get(column)
        return wanted is None or any(_is(column, name, wanted) for name in names)

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
        """Return the findings at this place, or in which somebody takes part who is asked for."""
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
        asked = {name: self.asked[name] for name in columns}
        rows = [r for r in snapshot.rows if all(_is(n, r[n], asked[n]) for n in asked)]
        at = {c.name: i for i, c in enumerate(snapshot.hook.log or ()) if c.name in self.asked}
        log = [e for e in snapshot.sample.log if at and self._has(e, at)]
        return replace(
            snapshot, rows=rows if columns else (), sample=replace(snapshot.sample, log=tuple(log))
        )

    def _has(self, entry: Sequence[object], at: Mapping[str, int]) -> bool:
        return all(_is(name, entry[place], self.asked[name]) for name, place in at.items())

    def _concerns(self, finding: Finding) -> bool:
        where = finding.case.head.where
        here = {"interface": where.interface, "netns_name": where.netns_name}
        if any(_is(n, here[n], wanted) for n, wanted in self.asked.items() if n in here):
            return True
        return any(map(self._is_asked_for, finding.case.who))

    def _is_asked_for(self, who: Who) -> bool:
        told = {"pid": who.pid, "container": who.container, "unit": who.unit}
        asked = {name: wanted for name, wanted in self.asked.items() if name in told}
        return bool(asked) and all(_is(n, told[n], wanted) for n, wanted in asked.items())


def _is(column: str, value: object, wanted: Value) -> bool:
    """Return whether a value is what is asked for, by whatever part of its name people use."""
    if value == wanted or not (isinstance(value, str) and isinstance(wanted, str)):
        return value == wanted
    if column == "container":
        return value.endswith(f"/{wanted}") or value.startswith(f"{wanted}/")
    return column == "unit" and value.rpartition(".")[0] == wanted


EVERYTHING = Scope()
