"""What the kernel frees at each interface: by reason, or on behalf of programs of one layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, overload

from probes.analysis.classes import is_lost, is_ordinary
from probes.analysis.drop_stages import function_of, stage_of
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


class Drop(NamedTuple):
    """One of the kernel's drop reasons for an interface: a rate, and the row behind it."""

    rate: float
    row: SnapshotRow


ByInterface = Mapping[str, Sequence[DropsOfReason]]


class _DropKind(NamedTuple):
    """Whether somebody waited for such packets, or nobody did; neither: they are not counted."""

    lost: bool
    ordinary: bool
    layer: str


@lru_cache(4096)
def _kind_of(reason: str, location: str, trait: Value, counts: Value) -> _DropKind:
    values = {"reason": reason, "location": location, "trait": trait, "counts": counts}
    layer = _LAYERS.get(stage_of(reason, function_of(location)), "")
    return _DropKind(is_lost(values), is_ordinary(values), layer)


def _kind(row: SnapshotRow) -> _DropKind:
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
    """Leave out what is not freed just now: many reasons are quiet most of the time."""
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
        kind = _kind(row)
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
    group, kinds = _kinds_of(rows)
    numbers: dict[tuple[bool, str, str, str], int] = {}
    into = []
    for interface, reason, kind in kinds:
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


def _kinds_of(rows: ManyRows) -> tuple[np.ndarray, list[tuple[Value, str, _DropKind]]]:
    """Return each row's number, and the interface, reason and kind behind each number."""
    columns = ("interface", *_KIND)
    group, begin = grouped(rows, _LEXICON, *columns)
    read = [_LEXICON.values(name, rows.cells(name), begin) for name in columns]
    kinds = [
        (interface, str(reason), _kind_of(str(reason), str(location), trait, counts))
        for interface, reason, location, trait, counts in zip(*read, strict=True)
    ]
    return group, kinds


# -- row by row, for a detail ------------------------------------------------------------------


def drops_at(rows: Sequence[SnapshotRow], interface: str) -> tuple[Sequence[Drop], Sequence[Drop]]:
    """Return the rows of an interface that are lost, and those freed as a matter of course.

    The greatest rates come first.
    """
    if isinstance(rows, ManyRows):
        return _many_at(rows, interface)
    here = [row for row in rows if place_of(row.stored["interface"]) == interface]
    here.sort(key=lambda row: -row.rate("packets"))
    drops = [(Drop(row.rate("packets"), row), _kind(row)) for row in here]
    return [d for d, kind in drops if kind.lost], [d for d, kind in drops if kind.ordinary]


def _many_at(rows: ManyRows, interface: str) -> tuple[Sequence[Drop], Sequence[Drop]]:
    group, kinds = _kinds_of(rows)
    order = np.argsort(-rows.per_s("packets"), kind="stable")
    here = [place_of(name) == interface for name, _, _ in kinds]
    lost = np.array([at and kind.lost for at, (_, _, kind) in zip(here, kinds, strict=True)])
    freely = np.array([at and kind.ordinary for at, (_, _, kind) in zip(here, kinds, strict=True)])
    found = [order[wanted[group][order]].tolist() for wanted in (lost, freely)]
    return _DropList(rows, found[0]), _DropList(rows, found[1])


class _DropList(Sequence[Drop]):
    """Drops at some places, made where they are asked for."""

    def __init__(self, rows: ManyRows, places: list[int]) -> None:
        self._rows, self._places = rows, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, n: int) -> Drop: ...
    @overload
    def __getitem__(self, n: slice) -> list[Drop]: ...
    def __getitem__(self, n: int | slice) -> Drop | list[Drop]:
        if isinstance(n, slice):
            return [self[one] for one in range(len(self))[n]]
        row = self._rows[self._places[n]]
        return Drop(row.rate("packets"), row)

    def __iter__(self) -> Iterator[Drop]:
        return map(self.__getitem__, range(len(self)))
