"""What the kernel frees at each interface: by reason, or on behalf of programs of one layer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from heapq import nlargest
from typing import NamedTuple

from probes.analysis.classes import is_lost, is_ordinary
from probes.analysis.drop_stages import IN_RX_DROPPED, function_of, stage_of
from probes.analysis.many import grouped
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import np
from probes.columns.lexicon import Lexicon
from probes.model import Value
from probes.units import DASH

NOWHERE = "no device"
"""Drops without a known device, or from counters that are not per interface."""
_LAYERS = {"xdp": "XDP", "tc-ingress": "TC", "tc-egress": "TC"}
"""Stages at which the kernel frees what a program dropped."""
_KIND = ("reason", "location", "trait", "counts")
_LEXICON = Lexicon()


class DropsOfReason(NamedTuple):
    """Packets a second that the kernel frees at an interface.

    layer: where the program sat that dropped them, "XDP" or "TC"; "" if the kernel dropped them.
    """

    rate: float
    reason: str
    layer: str


class Loss(NamedTuple):
    """Packets that are lost at an interface for one reason.

    rate: packets a second, of all its rows; number: of those that lose something now. rows: those
    that lose most.
    """

    interface: str
    reason: str
    location: str
    layer: str
    rate: float
    number: int
    rows: Sequence[SnapshotRow]


_LossKey = tuple[str, str, str, str]
MOST_LOSSES, MOST_ROWS, ALL_ROWS = 32, 8, 32
"""Losses that are told, at most; rows of each, and of all but the first of each."""
ByInterface = Mapping[str, Sequence[DropsOfReason]]


class DropKind(NamedTuple):
    """The kind of a row: somebody waited for such packets, or nobody did; neither: no packets.

    stage: as `stage_of` has it. in_rx_dropped: whether the link counts them as well.
    """

    lost: bool
    ordinary: bool
    layer: str
    stage: str
    in_rx_dropped: bool


@lru_cache(4096)
def _kind_of(reason: str, location: str, trait: Value, counts: Value) -> DropKind:
    values = {"reason": reason, "location": location, "trait": trait, "counts": counts}
    function = function_of(location)
    stage = stage_of(reason, function)
    counted = stage == "nic" or bool({reason, (reason, function)} & IN_RX_DROPPED)
    return DropKind(is_lost(values), is_ordinary(values), _LAYERS.get(stage, ""), stage, counted)


def kind_of(row: SnapshotRow) -> DropKind:
    known = row.stored
    return _kind_of(
        str(known["reason"]), str(known["location"]), known.get("trait"), known.get("counts")
    )


def place_of(interface: object) -> str:
    """Return the interface's name, or that there is none."""
    name = str(interface)
    return NOWHERE if name == DASH else name


def freed(rows: Sequence[SnapshotRow]) -> tuple[ByInterface, ByInterface]:
    """Return what is lost and what is freed as a matter of course, the greatest rates first."""
    return rows.once(_of_many) if isinstance(rows, ManyRows) else _remembered(rows)


def active(found: ByInterface) -> ByInterface:
    """Leave out what is not being freed: many reasons are quiet most of the time."""
    some = {name: [one for one in every if one.rate] for name, every in found.items()}
    return {name: every for name, every in some.items() if every}


_latest: list[tuple[Sequence[SnapshotRow], tuple[ByInterface, ByInterface]]] = []
"""The latest rows that were few: they are asked for when they are read, and when shown."""


def _remembered(rows: Sequence[SnapshotRow]) -> tuple[ByInterface, ByInterface]:
    if not _latest or _latest[0][0] is not rows:
        _latest[:] = [(rows, _of_few(rows))]
    return _latest[0][1]


def _of_few(rows: Sequence[SnapshotRow]) -> tuple[ByInterface, ByInterface]:
    lost: dict[str, list[DropsOfReason]] = {}
    ordinary: dict[str, list[DropsOfReason]] = {}
    for row in rows:
        kind = kind_of(row)
        if kind.lost or kind.ordinary:
            into = lost if kind.lost else ordinary
            one = DropsOfReason(
                row.rates.get("packets") or 0, str(row.stored["reason"]), kind.layer
            )
            into.setdefault(place_of(row.stored["interface"]), []).append(one)
    for found in (*lost.values(), *ordinary.values()):
        found.sort(key=lambda one: -one.rate)
    return lost, ordinary


def _of_many(rows: ManyRows) -> tuple[ByInterface, ByInterface]:
    """Return the same, with the rows of one reason or layer as one."""
    group, kinds = rows.once(kinds_of)
    numbers: dict[tuple[bool, str, str, str], int] = {}
    into = []
    for interface, reason, _, kind in kinds:
        what = kind.lost, place_of(interface), reason if not kind.layer else "", kind.layer
        counts = kind.lost or kind.ordinary
        into.append(numbers.setdefault(what, len(numbers)) if counts else -1)
    rates = rows.per_s("packets")
    order = np.argsort(-rates, kind="stable")
    target = np.array(into, np.intp)[group][order]
    counted = target >= 0
    target, rates = target[counted], rates[order][counted]
    sums, begin = np.bincount(target, rates), np.unique(target, return_index=True)[1]
    lost: dict[str, list[DropsOfReason]] = {}
    ordinary: dict[str, list[DropsOfReason]] = {}
    named = list(numbers)
    for number in target[np.sort(begin)].tolist():
        is_one_lost, name, reason, layer = named[number]
        one = DropsOfReason(float(sums[number]), reason, layer)
        (lost if is_one_lost else ordinary).setdefault(name, []).append(one)
    return lost, ordinary


class _Kinds(NamedTuple):
    """Values that rows with one number have in common. place: the function."""

    interface: Value
    reason: str
    place: str
    kind: DropKind


def kinds_of(rows: ManyRows) -> tuple[np.ndarray, list[_Kinds]]:
    """Return each row's number, and what is behind each number."""
    columns = ("interface", *_KIND)
    group, begin = grouped(rows, _LEXICON, *columns)
    read = [_LEXICON.values(name, rows.cells(name), begin) for name in columns]
    kinds = [
        _Kinds(
            interface,
            str(reason),
            function_of(str(location)),
            _kind_of(str(reason), str(location), trait, counts),
        )
        for interface, reason, location, trait, counts in zip(*read, strict=True)
    ]
    return group, kinds


# -- what is lost now, with the rows behind it ------------------------------------------------


def losses(rows: Sequence[SnapshotRow]) -> Sequence[Loss]:
    """Return what is lost now, by interface, reason and function; the greatest rates first."""
    if isinstance(rows, ManyRows):
        return rows.once(_many_losses)
    found: dict[_LossKey, list[SnapshotRow]] = {}
    for row in rows:
        if row.rates.get("packets") and (kind := kind_of(row)).lost:
            at = place_of(row.stored["interface"]), str(row.stored["reason"])
            place = function_of(str(row.stored["location"]))
            found.setdefault((*at, place, kind.layer), []).append(row)
    sums = {key: sum([row.rate("packets") for row in some]) for key, some in found.items()}
    first = nlargest(MOST_LOSSES, sums, key=sums.__getitem__)
    numbers = _shared([len(found[key]) for key in first])
    return [
        Loss(*key, sums[key], len(found[key]), _first(found[key], number))
        for key, number in zip(first, numbers, strict=True)
    ]


def rows_of_places(rows: Sequence[SnapshotRow], places: Collection[str]) -> list[SnapshotRow]:
    """Return the rows whose function, or counter, is one of these."""
    if not isinstance(rows, ManyRows):
        return [row for row in rows if row.stored["location"] in places]
    group, kinds = rows.once(kinds_of)
    wanted = np.array([one.place in places for one in kinds], bool)
    return [rows[at] for at in np.flatnonzero(wanted[group]).tolist()] if wanted.any() else []


def _shared(numbers: Iterable[int]) -> Iterator[int]:
    """Share the rows that are told among losses: the greatest get most, each gets one."""
    left = ALL_ROWS
    for number in numbers:
        part = max(min(number, MOST_ROWS, left), 1)
        left -= part
        yield part


def _first(rows: Sequence[SnapshotRow], most: int) -> Sequence[SnapshotRow]:
    return nlargest(most, rows, key=lambda row: row.rate("packets"))


def _many_losses(rows: ManyRows) -> Sequence[Loss]:
    group, kinds = rows.once(kinds_of)
    rates = rows.per_s("packets")
    numbers: dict[_LossKey, int] = {}
    into = [
        numbers.setdefault((place_of(at), reason, place, kind.layer), len(numbers))
        if kind.lost
        else -1
        for at, reason, place, kind in kinds
    ]
    target = np.array(into, np.intp)[group]
    some = np.flatnonzero((target >= 0) & (rates > 0))
    sums = np.bincount(target[some], rates[some], len(numbers))
    counts = np.bincount(target[some], minlength=len(numbers))
    order = some[np.argsort(-rates[some], kind="stable")]
    keys = list(numbers)
    first = [n for n in np.argsort(-sums, kind="stable")[:MOST_LOSSES].tolist() if counts[n]]
    parts = _shared([int(counts[n]) for n in first])
    found = []
    for n, most in zip(first, parts, strict=True):
        places = order[target[order] == n][:most].tolist()
        found.append(_loss(keys[n], float(sums[n]), int(counts[n]), [rows[at] for at in places]))
    return found


def _loss(key: _LossKey, rate: float, number: int, rows: Sequence[SnapshotRow]) -> Loss:
    return Loss(*key, rate, number, rows)
