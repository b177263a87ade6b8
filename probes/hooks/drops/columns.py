"""Rows of packets that a tracepoint saw, as columns: what `traced` does row by row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from probes.analysis import drop_stages
from probes.arrays import np
from probes.columns.cells import Cells, CodedCells, NumberCells, cells_of, joined
from probes.columns.groups import EqualRows, grouped, words_of
from probes.columns.numbered import shared_texts
from probes.columns.row_table import ColumnRows
from probes.hooks.drops import reasons as drop_reasons
from probes.hooks.drops.counters import CounterUnit
from probes.hooks.drops.holders import LISTED, Port, of_socket
from probes.hooks.drops.seen import SeenByPlace, SeenEntries, counted
from probes.hooks.drops.traced import LOOPBACK, NO_ROUTE, TRAIT, Around, trait_of
from probes.hooks.drops.ways import OUT_NUMBER, way_of
from probes.kernel import kallsyms
from probes.model import Entries, Row
from probes.toolkit.decode import packet_protocol

if TYPE_CHECKING:
    from numpy.typing import NDArray

Arrays = Mapping[str, "NDArray[Any]"]
_NUMBERS = ("location", "device", "reason", "ifindex", "netns", "protocol", "port", "trait")
"""The numbers of an entry's key, in their order."""
_TEXTS = ("interface", "reason", "location", "protocol", "trait")


class _Called(NamedTuple):
    """Names of numbers. of: the place in `texts` that each entry has."""

    texts: list[str]
    of: NDArray[Any]


class TracedColumns:
    """A maker of columns, with texts that have the same number in each reading."""

    def __init__(self, around: Around) -> None:
        self._around, self._texts = around, shared_texts()

    def rows(self, tables: Sequence[Entries]) -> tuple[ColumnRows, SeenByPlace]:
        """Return the rows of the entries of several maps, and what was seen, by place."""
        self._texts = shared_texts()
        found = {n: np.concatenate([t[n] for t in tables]) for n in (*_NUMBERS, "packets")}
        found["way"] = found["trait"] >> 8
        found["trait"] = found["trait"] & TRAIT
        places = self._places(found)
        interfaces = self._interfaces(found)
        reasons = _named(found["reason"], self._around.name_of)
        drop = np.array([name not in drop_reasons.NOT_DROPPED for name in reasons.texts], bool)
        kept = drop[reasons.of]
        found = {name: numbers[kept] for name, numbers in found.items()}
        names = [_Called(n.texts, n.of[kept]) for n in (interfaces, reasons, places)]
        merged, texts = self._merged(found, names)
        rows = self._row_columns(merged, texts, self._held(merged, texts))
        return rows, self._around.seen.of_many(self._seen(found, names[1], names[2]))

    def _places(self, found: dict[str, NDArray[Any]]) -> _Called:
        """Name the places in the code.

        No packet is at the loopback that had no route, as it was meant for elsewhere.
        """
        distinct, of = np.unique(found["location"], return_inverse=True)
        known = kallsyms.resolve(distinct.tolist())
        texts = [known[location] for location in distinct.tolist()]
        no_route = np.array([drop_stages.function_of(t) == NO_ROUTE for t in texts], bool)
        of = of.reshape(-1)
        at_loopback = (found["device"] == 0) & (found["ifindex"] == LOOPBACK)
        found["ifindex"] = np.where(no_route[of] & at_loopback, 0, found["ifindex"])
        return _Called(texts, of)

    def _interfaces(self, found: Arrays) -> _Called:
        own, devices = self._around.own, self._around.devices
        here = found["netns"] == own
        at = [found[name][here] for name in ("ifindex", "device")]
        groups = grouped(words_of(*at))
        sums = groups.sums(found["packets"][here]).tolist()
        keys = zip(*[numbers[groups.first].tolist() for numbers in at], strict=True)
        devices.look(dict(zip(keys, sums, strict=True)))
        columns = [found[name] for name in ("ifindex", "device", "netns")]
        groups = grouped(words_of(*columns))
        all = zip(*[numbers[groups.first].tolist() for numbers in columns], strict=True)
        return _Called([devices.name(*one) for one in all], groups.of)

    def _merged(
        self, found: Arrays, names: Sequence[_Called]
    ) -> tuple[Arrays, dict[str, NDArray[Any]]]:
        """Return the entries, those that are called the same as one, and their texts' numbers."""
        numbers = [self._texts.of(n.texts)[n.of] for n in names]
        numbers.append(self._texts.by_values(packet_protocol, found["protocol"]).raw)
        numbers.append(self._traits(found["trait"], names[1]))
        words = words_of(*numbers, *(found[n] for n in ("port", "netns", "ifindex", "device")))
        groups = grouped(words)
        at = groups.first
        merged = {name: array[at] for name, array in found.items()}
        merged["packets"] = groups.sums(found["packets"])
        other = found["way"] != merged["way"][groups.of]
        merged["way"] = np.where(np.bincount(groups.of, other, len(at)) > 0, 0, merged["way"])
        return merged, {n: array[at] for n, array in zip(_TEXTS, numbers, strict=True)}

    def _traits(self, traits: NDArray[Any], reasons: _Called) -> NDArray[Any]:
        def text(trait: int, reason: int) -> str:
            return trait_of(trait, reasons.texts[reason])

        return self._texts.by_values(text, traits, reasons.of).raw

    def _held(self, merged: Arrays, texts: Arrays) -> tuple[Cells, Cells]:
        """Return name and number of the process whose socket a packet reached, or was sent by."""
        here = (merged["netns"] == self._around.own) & (merged["port"] != 0)
        reached = self._reached(merged, texts)
        at = np.flatnonzero(here & reached)
        ports, groups = self._ports(texts["protocol"][at], merged["port"][at])
        sums = groups.sums(merged["packets"][at]).tolist()
        holders = self._around.holders
        holders.look({p: n for p, n in zip(ports, sums, strict=True) if p[0] in LISTED})
        out = np.flatnonzero(here & ~reached & (merged["way"] == OUT_NUMBER))
        sent, senders = self._ports(texts["protocol"][out], merged["port"][out])
        pids, known = np.zeros(len(here), "i8"), np.zeros(len(here), bool)
        names = np.full(len(here), self._texts.of([""])[0])
        for places, owners, of in (
            (at, holders.of_all(ports), groups.of),
            (out, list(map(self._around.senders.of, sent)), senders.of),
        ):
            if owners:
                names[places] = self._texts.of([o.comm if o else "" for o in owners])[of]
                pids[places] = np.array([o.pid if o else 0 for o in owners], "i8")[of]
                known[places] = np.array([o is not None for o in owners], bool)[of]
        return self._texts.coded(names), NumberCells(pids, known)

    def _reached(self, merged: Arrays, texts: Arrays) -> NDArray[np.bool_]:
        """Return which packets a socket here was to receive."""
        groups = grouped(words_of(texts["reason"], merged["way"], texts["interface"]))
        at, all = groups.first, self._texts.all
        kinds = zip(
            texts["reason"][at].tolist(), merged["way"][at].tolist(),
            texts["interface"][at].tolist(), strict=True,
        )  # fmt: skip
        found = [
            of_socket(all[reason], way_of(way << 8), all[name], self._around.forwarding)
            for reason, way, name in kinds
        ]
        return np.array(found, bool)[groups.of]

    def _ports(self, protocols: NDArray[Any], ports: NDArray[Any]) -> tuple[list[Port], EqualRows]:
        groups = grouped(words_of(protocols, ports))
        names = list(map(self._texts.all.__getitem__, protocols[groups.first].tolist()))
        return list(zip(names, ports[groups.first].tolist(), strict=True)), groups

    def _row_columns(self, merged: Arrays, texts: Arrays, held: tuple[Cells, Cells]) -> ColumnRows:
        coded = {name: self._texts.coded(numbers) for name, numbers in texts.items()}
        packets, ports, netns = (merged[name] for name in ("packets", "port", "netns"))
        large = packets.dtype.kind == "O"
        return ColumnRows(
            (
                coded["interface"],
                coded["reason"],
                coded["location"],
                cells_of(packets.tolist()) if large else NumberCells(packets),
                coded["protocol"],
                NumberCells(ports, ports != 0),
                coded["trait"],
                *held,
                self._texts.cells([str(CounterUnit.PACKETS)], np.zeros(len(packets), "u1")),
                NumberCells(netns, netns != self._around.own),
                NumberCells(merged["ifindex"]),
                NumberCells(merged["device"]),
                self._ways(merged["way"]),
                _nothing(len(packets)),
                _nothing(len(packets)),
            )
        )

    def _ways(self, ways: NDArray[Any]) -> CodedCells:
        return self._texts.by_values(lambda way: way_of(way << 8), ways)

    def _seen(self, found: Arrays, reasons: _Called, places: _Called) -> SeenEntries:
        """Return the entries that a counter includes."""
        groups = grouped(words_of(reasons.of, places.of))
        pairs = zip(
            reasons.of[groups.first].tolist(), places.of[groups.first].tolist(), strict=True
        )
        kinds = [(reasons.texts[reason], places.texts[place]) for reason, place in pairs]
        some = np.array([counted(r, drop_stages.function_of(p)) for r, p in kinds], bool)
        told = some[groups.of]
        netns = found["netns"][told]
        return SeenEntries(
            [found[name][told] for name in _NUMBERS],
            np.where(netns == 0, self._around.own, netns),
            kinds,
            groups.of[told],
            found["port"][told],
            found["packets"][told],
        )

    def followed_by(self, rows: ColumnRows, more: Iterable[Row]) -> ColumnRows:
        """Return the rows and more of them."""
        columns = list(zip(*more, strict=True))
        if not columns:
            return rows
        return ColumnRows(
            [self._joined(c, values) for c, values in zip(rows.cells, columns, strict=True)]
        )

    def _joined(self, cells: Cells, values: Sequence[Any]) -> Cells:
        texts = isinstance(cells, CodedCells)
        return joined(cells, self._texts.cells(values) if texts else cells_of(values))


def _nothing(number: int) -> NumberCells:
    return NumberCells(np.zeros(number, "i8"), np.zeros(number, bool))


def _named(numbers: NDArray[Any], name: Any) -> _Called:
    distinct, of = np.unique(numbers, return_inverse=True)
    return _Called([name(number) for number in distinct.tolist()], of.reshape(-1))
