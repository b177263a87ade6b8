"""A host whose hooks are given rows: what detectors see of it, tick by tick."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from probes.analysis.cases.judgement import figures
from probes.analysis.facts import Facts
from probes.analysis.history import History
from probes.analysis.snapshot import Trail
from probes.hooks import catalogue
from probes.model import Column, HookId, Kind, Row, Sample, State, Status, Value
from probes.units import Unit

Rows = Iterable[Mapping[str, Value]]
_BEGIN = 1000.0


class WatchedHost:
    """Facts that grow by ticks of a second.

        host = WatchedHost()
        host.tick(drops=[{"interface": "eth1", "reason": "NETFILTER_DROP", "packets": 100}])
        host.tick(drops=[...])                       # now there are rates
        claims = DETECTOR.claims(host.facts)

    A row's columns that are not given are 0, "-" or unknown. Counters are totals since attach;
    `more` adds to what was there. Hooks that are not given in a tick are not read in it.
    """

    def __init__(self, *hooks: str, rung: str = "best") -> None:
        self.facts = Facts(catalogue(), History(figures()))
        self._rung = rung
        self._trails: dict[HookId, Trail] = {}
        self._totals: dict[HookId, dict[tuple[Value, ...], dict[str, Value]]] = {}
        self.facts.time, self.facts.wall = _BEGIN, 1e9 + _BEGIN
        self.tick(0, **dict.fromkeys(hooks, ()))

    def tick(self, seconds: float = 1.0, **rows: Rows) -> Facts:
        """Read hooks; their names have _ for -, and a target after __."""
        facts = self.facts
        facts.time += seconds
        facts.wall += seconds
        for name, some in rows.items():
            self._read(_id(name), some)
        facts.version += 1
        return facts

    def more(self, seconds: float = 1.0, **rows: Rows) -> Facts:
        """The same, with what counters have grown by since the last reading; rows stay."""
        grown = {name: self._grown(_id(name), some) for name, some in rows.items()}
        return self.tick(seconds, **grown)

    def _grown(self, id: HookId, rows: Rows) -> list[Mapping[str, Value]]:
        hook, known = self.facts.catalogue[id.hook], self._totals.setdefault(id, {})
        for row in rows:
            full = {c.name: row.get(c.name, _nothing(c)) for c in hook.stored}
            key = tuple([full[hook.stored[place].name] for place in hook.places.keys])
            before = known.get(key)
            for column in hook.stored:
                if before is not None and column.kind in (Kind.COUNTER, Kind.HISTOGRAM):
                    full[column.name] = _sum(before[column.name], full[column.name])
            known[key] = full
        return list(known.values())

    def _read(self, id: HookId, rows: Rows) -> None:
        facts, hook = self.facts, self.facts.catalogue[id.hook]
        made: dict[tuple[Value, ...], Row] = {}
        for given in rows:
            unknown = given.keys() - {c.name for c in hook.stored}
            assert not unknown, f"{hook.name} stores no {unknown}"
            row = tuple([given.get(c.name, _nothing(c)) for c in hook.stored])
            made[tuple([row[place] for place in hook.places.keys])] = row
        status = Status(id, State.ATTACHED, self._rung)
        sample = Sample(status, facts.time, facts.wall, rows=made, from_zero=True)
        snapshot = self._trails.setdefault(id, Trail(hook)).snapshot(sample)
        facts.snapshots[id] = snapshot
        facts.version += 1
        facts.since.setdefault(id, sample)
        facts.statuses = (*[s for s in facts.statuses if s.id != id], status)
        facts.history.add(id.hook, tuple(facts.of(id.hook)) or (snapshot,))


def _id(name: str) -> HookId:
    hook, _, target = name.partition("__")
    return HookId(hook.replace("_", "-"), target or None)


def _nothing(column: Column) -> Value:
    if column.kind is Kind.COUNTER:
        return 0
    if column.kind is Kind.HISTOGRAM:
        return (0,) * 32
    return "-" if column.unit is Unit.TEXT else None


def _sum(before: Value, more: Value) -> Value:
    if isinstance(before, tuple) and isinstance(more, tuple):
        return tuple([a + b for a, b in zip(before, more, strict=True)])
    if before is None and more is None:
        return None  # it is not counted there
    assert isinstance(before, int | float)
    assert isinstance(more, int | float)
    return before + more
