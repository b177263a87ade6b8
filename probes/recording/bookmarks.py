"""Bookmarks of a recording: drops, failures, and what was attached or detached.

A `Moment` goes with each frame and is read without decoding it: a time bar is drawn of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from probes.analysis.classes import is_lost
from probes.arrays import np
from probes.columns.cells import CodedCells, NumberCells, ObjectCells
from probes.columns.groups import alike
from probes.columns.row_table import RowTable
from probes.model import Enforced, Hook, HookId, Key, Row, Sample, State, Status
from probes.recording.encoder import Tick

if TYPE_CHECKING:
    from numpy.typing import NDArray

DROPS = (("drops", "packets"), ("xdp-programs", "drop"), ("interfaces", "rx_missed"))
FAILURES = (("tcp-connect", "failed"),)
"""Hook and counter; they tell how bad it is, not how many packets: some are in two of them."""
LEAST, TIMES, BACK = 10, 3, 10
"""An onset: so many at once, and so many times what there was in so many moments before."""
MOST_EVENTS, LONGEST = 16, 120
"""Events of one moment; letters of one event."""


class Moment(NamedTuple):
    """A moment's summary.

    wall: Unix seconds. drops: packets, failures: connects, since the previous moment. events: what
    was attached, detached or refused, and rules, a phrase for each. anew: some hook's counting
    begins here.
    """

    wall: float
    drops: int = 0
    failures: int = 0
    events: tuple[str, ...] = ()
    anew: bool = False


class Bookmark(NamedTuple):
    """A moment to jump to. number: the moment's. kind: "drops", "failures" or "event"."""

    number: int
    kind: str
    text: str


class Bookmarker:
    """A maker of moments from ticks, one after the other."""

    def __init__(self, hooks: Mapping[str, Hook]) -> None:
        self._before: Tick | None = None
        self._drops = _places(hooks, DROPS)
        self._names = hooks["drops"].places.names if "drops" in hooks else ()
        self._failures = _places(hooks, FAILURES)

    def moment(self, tick: Tick) -> Moment:
        before, self._before = self._before, tick
        if before is None:
            return Moment(tick.wall, anew=True)
        events = [*_statuses(before.statuses, tick.statuses), *_rules(before.rules, tick.rules)]
        return Moment(
            tick.wall,
            _increase(self._drops, before, tick, self._waited_for),
            _increase(self._failures, before, tick, self._waited_for),
            tuple([e[:LONGEST] for e in events[:MOST_EVENTS]]),
            any(_anew(before.samples.get(h, ()), s) for h, s in tick.fresh(before).items()),
        )

    def _waited_for(self, hook: str, row: Row) -> bool:
        """Return whether a row counts losses: not the kernel's ordinary drops."""
        return hook != "drops" or self._is_lost(row)

    def _is_lost(self, row: Row) -> bool:
        return is_lost(dict(zip(self._names, row, strict=True)))


def marks(moments: Sequence[Moment], first: int = 0) -> list[Bookmark]:
    """Return the moments where something begins. first: the number of the first moment."""
    marker = Marker(first)
    marker.add(moments)
    return marker.found


class Marker:
    """A finder of beginnings, also while further moments come. first: the number of the first."""

    def __init__(self, first: int = 0) -> None:
        self.found: list[Bookmark] = []
        self._first, self._seen = first, 0
        self._drops, self._failures = _Onset(), _Onset()

    def add(self, moments: Sequence[Moment]) -> None:
        """Add moments: all of them; those of the previous call are known."""
        for place in range(self._seen, len(moments)):
            self.found += self._begun(self._first + place, moments[place])
        self._seen = len(moments)

    def _begun(self, number: int, moment: Moment) -> Iterator[Bookmark]:
        for event in moment.events:
            yield Bookmark(number, "event", event)
        if self._drops.at(moment.drops):
            yield Bookmark(number, "drops", f"{moment.drops} packets dropped")
        if self._failures.at(moment.failures):
            yield Bookmark(number, "failures", f"{moment.failures} connects failed")


class _Onset:
    def __init__(self) -> None:
        self._before: deque[int] = deque(maxlen=BACK)

    def at(self, number: int) -> bool:
        usual = sum(self._before) / max(len(self._before), 1)
        known = bool(self._before)
        self._before.append(number)
        return known and number >= LEAST and number > TIMES * usual


def _places(hooks: Mapping[str, Hook], wanted: Iterable[tuple[str, str]]) -> list[tuple[str, int]]:
    return [
        (hook, hooks[hook].places.names.index(column)) for hook, column in wanted if hook in hooks
    ]


def _increase(
    places: Iterable[tuple[str, int]],
    before: Tick,
    tick: Tick,
    counts: Callable[[str, Row], bool],
) -> int:
    total = 0
    for hook, place in places:
        known = before.samples.get(hook, ())
        now = tick.samples.get(hook, ())
        if now is known:
            continue
        for was, sample in _pairs(known, now):
            if was is None or was.epoch != sample.epoch:
                continue
            total += _growth_of(hook, place, was, sample, counts)
    return total


def _growth_of(
    hook: str, place: int, was: Sample, sample: Sample, counts: Callable[[str, Row], bool]
) -> int:
    """Return by how much a counter grew in all rows that count."""
    rows, grown = sample.rows, _growth(place, was, sample)
    if grown is None or not isinstance(rows, RowTable):
        grown_rows = _grown_rows(place, was.rows, sample)
        return sum([more for row, more in grown_rows if counts(hook, row)])
    if hook == "drops":
        places = np.flatnonzero(grown)
        grown = grown[places][_flags(rows.at(places), partial(counts, hook))]
    return sum(grown.tolist())


def _flags(rows: RowTable, counts: Callable[[Row], bool]) -> NDArray[np.bool_]:
    """Return which rows count; asked once for those that are alike but for their numbers."""
    texts = [c for c in rows.cells if isinstance(c, CodedCells | ObjectCells)]
    groups = alike(texts) if texts and len(rows) else None
    if groups is None:
        return np.array(list(map(counts, rows.values())), bool)
    return np.array(list(map(counts, rows.at(groups.first).values())), bool)[groups.of]


def _grown_rows(place: int, before: Mapping[Key, Row], sample: Sample) -> Iterator[tuple[Row, int]]:
    for key, row in sample.rows.items():
        count, old = row[place], before.get(key)
        then = old[place] if old is not None else 0 if sample.from_zero else None
        if isinstance(count, int) and isinstance(then, int) and count > then:
            yield row, count - then


def _growth(place: int, was: Sample, sample: Sample) -> NDArray[np.int64] | None:
    """Return by how much each row's counter grew, 0 where it did not; None: see `_grown_rows`."""
    now, before = sample.rows, was.rows
    if not (isinstance(now, RowTable) and isinstance(before, RowTable) and now and before):
        return None
    counts, then = now.cells[place], before.cells[place]
    if not (isinstance(counts, NumberCells) and isinstance(then, NumberCells)):
        return None
    for raw in (counts.raw, then.raw):
        if raw.dtype.kind not in "iu" or int(raw.max()) >> 62 or int(raw.min()) < 0:
            return None
    at = now.places_in(before)
    known = counts.flags()
    if then.known is not None:
        known = known & ((at < 0) | then.known[at])
    if not sample.from_zero:
        known = known & (at >= 0)
    old = np.where(at >= 0, then.raw[at].astype("i8"), 0)
    grown: NDArray[np.int64] = np.where(known, np.maximum(counts.raw.astype("i8") - old, 0), 0)
    return grown


def _pairs(
    known: Sequence[Sample], now: Sequence[Sample]
) -> Iterator[tuple[Sample | None, Sample]]:
    by_id = {s.status.id: s for s in known}
    for sample in now:
        yield by_id.get(sample.status.id), sample


def _anew(known: Sequence[Sample], now: Sequence[Sample]) -> bool:
    return any(was is None or was.epoch != sample.epoch for was, sample in _pairs(known, now))


def _statuses(before: Sequence[Status], now: Sequence[Status]) -> Iterator[str]:
    if before is now or before == now:
        return
    known = {s.id: s for s in before}
    for status in now:
        was = known.pop(status.id, Status(status.id))
        if (was.state, was.rung) != (status.state, status.rung) and (
            status.state is not State.ATTACHING
        ):
            yield f"{status.id} {status.state}{f' on {status.rung}' if status.rung else ''}"
    gone: list[HookId] = [id for id, was in known.items() if was.state is not State.DETACHED]
    yield from (f"{id} gone" for id in gone)


def _rules(before: Sequence[Enforced], now: Sequence[Enforced]) -> Iterator[str]:
    known = {(e.interface, e.rule.what) for e in before}
    there = {(e.interface, e.rule.what) for e in now}
    for interface, what in sorted(there - known):
        yield f"dropping on {interface}: {what}"
    for interface, what in sorted(known - there):
        yield f"no longer dropping on {interface}: {what}"
