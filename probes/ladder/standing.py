"""The attached rung: how it is read, what its programs cost, how its counts are scaled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from operator import itemgetter

from probes.columns.cells import Cells
from probes.columns.row_table import ColumnRows, RowTable
from probes.errors import ProbeError
from probes.kernel import bpf, objects
from probes.ladder.carried import CarriedTotals
from probes.model import Cost, Hook, Key, Reading, Row, Rung, Sample
from probes.owners.owner_columns import with_owners
from probes.point import Held


@dataclass(slots=True)
class Standing:
    """An attached rung, and what is known of it. source: the C of its maps.

    one_in, map_memory: as in Status and Cost. since: when it was attached (monotonic). changed:
    called at each reading for a remark; said: the latest. resting: only until a better rung is
    attached. base: what is added to what it counts; opened: what it had counted when its successor
    was opened. failures: readings that failed since the latest good one, `last`. calm: the status's
    note before them; trouble: the note that reports them.
    """

    rung: Rung
    read: Callable[[], Reading]
    stack: ExitStack
    programs: list[int]
    held: list[Held]
    source: str
    one_in: int = 1
    map_memory: int | None = None
    note: str = ""
    epoch: int = 0
    changed: Sequence[Callable[[], str]] = ()
    said: str = ""
    resting: bool = False
    base: CarriedTotals | None = None
    opened: CarriedTotals | None = None
    failures: int = 0
    last: Sample | None = None
    calm: str = ""
    trouble: str = ""
    since: float = field(default_factory=time.monotonic)
    _spent: tuple[Cost | None, int] | None = None
    _counted: CarriedTotals | None = None

    @property
    def goes_on(self) -> bool:
        """Whether its successor adds these totals to its own."""
        return not self.resting and self.rung.from_zero

    def taken(self) -> bool:
        """Return whether somebody else undid it. Raises OSError or ProbeError."""
        return any(held.taken() for held in self.held)

    def known_taken(self) -> bool:
        """Return the same, as far as the kernel tells at the moment."""
        with suppress(OSError, ProbeError):
            return self.taken()
        return False

    def reading(self) -> tuple[Reading, Cost | None]:
        """Return its reading; events that its programs missed are among those lost."""
        reading = self.read()
        if self._spent is None or not reading.idle:
            self._spent = self._cost()
        cost, missed = self._spent
        return replace(reading, lost=reading.lost + missed) if missed else reading, cost

    def spent(self, lately: float) -> tuple[int, float] | None:
        """Return the nanoseconds that its programs ran, and when; None for a rung without any.

        lately: for how many seconds what a reading said of it is good enough.
        """
        now, last = time.monotonic(), self.last
        if last is not None and now - last.time < lately:
            return None if last.cost is None else (last.cost.run_ns, last.time)
        cost, _ = self._cost()
        return None if cost is None else (cost.run_ns, now)

    def keep(self, sample: Sample) -> None:
        """Keep the last sample; what both have of many rows is kept once."""
        rows, before = sample.rows, self.last.rows if self.last is not None else None
        if isinstance(rows, RowTable):
            rows.keep(before if isinstance(before, RowTable) else None)
        self.last = sample

    def counted(self, hook: Hook, reading: Reading) -> CarriedTotals:
        """Return what it has counted itself, scaled, without what went before."""
        if self._counted is None or not reading.idle:
            self._counted = self._made(hook, reading)
        return self._counted

    def _made(self, hook: Hook, reading: Reading) -> CarriedTotals:
        keys, found = hook.places.keys, with_owners(hook, reading.rows)
        rows: Mapping[Key, Row]
        if isinstance(found, ColumnRows) and len(found):  # a table has a row
            rows = RowTable.of(_scaled_cells(hook, found.cells, self.one_in), keys)
        else:
            if self.one_in > 1:
                found = [_scaled(hook, row, self.one_in) for row in found]
            rows = _by_key(keys, found)
        return CarriedTotals(rows, reading.lost, reading.unlogged)

    def _cost(self) -> tuple[Cost | None, int]:
        """Return the cost, and how many events were missed.

        A rung that follows files may have no programs.
        """
        if self.rung.passive:
            return None, 0
        run_ns = runs = missed = 0
        for fd in self.programs:
            ns, times, not_run = bpf.prog_runs(fd)
            run_ns, runs, missed = run_ns + ns, runs + times, missed + not_run
        return Cost(runs, run_ns, self.map_memory), missed


def _by_key(places: Sequence[int], rows: Iterable[Row]) -> dict[Key, Row]:
    if len(places) == 1:
        (place,) = places
        return {(row[place],): row for row in rows}
    key: Callable[[Row], Key] = itemgetter(*places) if places else lambda _: ()
    return {key(row): row for row in rows}


def charged(maps: Iterable[int]) -> int | None:
    """Return the bytes that these maps are charged; None where the kernel does not tell."""
    told = [objects.fd_field(f"/proc/self/fdinfo/{fd}", "memlock") for fd in maps]
    return None if None in told else sum(size or 0 for size in told)


def _scaled_cells(hook: Hook, cells: Sequence[Cells], factor: int) -> Sequence[Cells]:
    """Return the same of columns."""
    sums = {place for place, _, _ in hook.places.sums}
    return [c.times(factor) if place in sums else c for place, c in enumerate(cells)]


def _scaled(hook: Hook, row: Row, factor: int) -> Row:
    """Return a row of one event in `factor`, with what adds up multiplied by it."""
    scaled = list(row)
    for place, _, histogram in hook.places.sums:
        value = row[place]
        if histogram and isinstance(value, tuple):
            scaled[place] = tuple(n * factor for n in value)
        elif isinstance(value, int):
            scaled[place] = value * factor
    return tuple(scaled)
