"""XDP errors: packets that a program aborted, or that could not be sent where it directed them.

The kernel reports these by tracepoints, for every program. The packets are lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from probes.errors import short
from probes.foreign.names import ProgramNames
from probes.hooks.interfaces import programs_on
from probes.kernel import ethtool
from probes.kernel.netlink import route
from probes.kernel.procfs import netns
from probes.model import Flat
from probes.point import Point
from probes.toolkit import (
    INDEX,
    MADE,
    NETNS,
    UNCOUNTED,
    BtfTracepoint,
    Hook,
    Opening,
    Program,
    RawTracepoint,
    Reading,
    Row,
    Rung,
    Value,
    c_source,
    counted,
    errno_name,
    given,
    key,
    level,
    packet_count,
    row_from,
)
from probes.toolkit.links import Made, interface_in
from probes.toolkit.readers import take
from probes.toolkit.tallies import Tallies
from probes.units import DASH

MAX_ROWS = 1024
"""Rows kept: interfaces x programs x answers x errors."""

_CORE = UNCOUNTED + c_source(__file__, "count.c", MAX_ROWS=MAX_ROWS)
_TYPED = """
#define DEVICE(ctx) ARG(ctx, 0, struct net_device *)
#define INDEX(ctx) DEVICE(ctx)->ifindex
#define TO(ctx) ARG(ctx, 1, struct net_device *)->ifindex
#define TO_NETNS(ctx) ARG(ctx, 1, struct net_device *)->nd_net.net->ns.inum
#define NETNS(ctx) DEVICE(ctx)->nd_net.net->ns.inum
"""
_READ = """
#define DEVICE(ctx) ARG(ctx, 0, struct net_device *)
#define INDEX(ctx) PROBE(DEVICE(ctx)->ifindex)
#define TO(ctx) PROBE(ARG(ctx, 1, struct net_device *)->ifindex)
#define TO_NETNS(ctx) PROBE(PROBE(ARG(ctx, 1, struct net_device *)->nd_net.net)->ns.inum)
#define NETNS(ctx) PROBE(PROBE(DEVICE(ctx)->nd_net.net)->ns.inum)
"""
_PROGRAMS = ("exception", "redirect_err", "devmap_xmit", "bulk_tx")
_VERDICTS = {0: "aborted", 3: "tx", 4: "redirect"}  # enum xdp_action


class _XdpErrors:
    """Counts of the interfaces that exist, and of those that are gone.

    A number may be another interface's by now, so the count up to the point where its interface
    went is kept apart. Entries of no interface are deleted, as the map would fill up with them.
    """

    def __init__(self, opening: Opening) -> None:
        self._opening, self._table = opening, opening.tables["rows"]
        self._columns = opening.hook.stored
        self._made, self._names = Made(opening), ProgramNames()
        self._before: dict[Flat, int] = {}
        "By key, the part of the entry's count that belongs to an earlier interface of that "
        "number."
        self._past: Tallies[tuple[Value, ...]] = Tallies(MAX_ROWS)

    def read(self) -> Reading:
        uncounted = self._opening.tables["uncounted"]
        entries, lost = self._table.rows(), counted(uncounted)
        known = {entry[0]: self._made.of(entry[0]) for entry in entries}
        links = {x.ifindex: x for x in self._made.asked(route.links)} if entries else {}
        rows = [self._row(what, n, links) for what, n in self._counted(entries, known, links)]
        past = self._past.made(self._columns, self._gone)
        return Reading(rows + past, lost)

    def _gone(self, key: tuple[Value, ...], counts: Counter[str]) -> Row:
        return row_from(self._columns, {**dict(zip(_KEYS, key, strict=True)), **counts})

    def _counted(
        self, entries: list[Flat], known: Mapping[int, int], links: Mapping[int, route.Interface]
    ) -> Iterator[tuple[Flat, int]]:
        """Return the counts of interfaces that exist, without those of earlier interfaces."""
        for entry in entries:
            key, packets = entry[:-1], entry[-1]
            if entry[0] in self._made.anew or entry[0] not in links:
                since = packets - self._before.pop(key, 0)
                self._past.add(self._key(key, known[entry[0]]), {"packets": since})
                if entry[0] in links or not take(self._table, entry):
                    self._before[key] = packets
            elif packets > self._before.get(key, 0):
                yield key, packets - self._before.get(key, 0)

    def _key(self, entry: Flat, made: int, name: str = "") -> tuple[Value, ...]:
        ifindex, to, to_netns, act, error = entry
        return (
            ifindex,
            made,
            name or f"if{ifindex}",
            _VERDICTS.get(act, f"verdict {act}"),
            errno_name(error) if error else DASH,
            interface_in(to, to_netns) if to else DASH,
        )

    def _row(self, entry: Flat, packets: int, links: Mapping[int, route.Interface]) -> Row:
        link = links[entry[0]]
        key = self._key(entry, self._made.of(entry[0]), link.name)
        known = dict(zip(_KEYS, key, strict=True))
        program = programs_on(link, self._names)
        return row_from(self._columns, {**known, "program": program, "packets": packets})


_KEYS = ("ifindex", "made", "interface", "answer", "error", "to")


def _open(opening: Opening) -> Callable[[], Reading]:
    opening.tables["home"].update((0,), (netns(),))
    return _XdpErrors(opening).read


_COUNTERS = {"aborted": "aborted", "tx": "tx_errors", "redirect": "redirect_errors"}


def _from_drivers(opening: Opening) -> Callable[[], Reading]:
    """Read what drivers themselves count while they run an XDP program."""
    names, made = ProgramNames(), Made(opening)

    def rows(link: route.Interface) -> Iterator[Row]:
        try:
            told = ethtool.at_xdp(ethtool.statistics(link.name))
        except OSError as refused:
            if short(refused.errno):
                raise
            return  # gone since it was listed
        for answer, name in _COUNTERS.items():
            if name in told:
                known = (link.ifindex, made.of(link.ifindex), link.name, answer, DASH, DASH)
                more: dict[str, Value] = {
                    "program": programs_on(link, names),
                    "packets": told[name],
                }
                yield row_from(
                    opening.hook.stored, {**dict(zip(_KEYS, known, strict=True)), **more}
                )

    def read() -> Reading:
        links = made.asked(route.links)
        native = [x for x in links if any(m == "native" for m, _ in x.xdp_programs)]
        return Reading([row for link in native for row in rows(link)])

    return read


def _rung(name: str, least: str, ways: str, point: Callable[[str], Point]) -> Rung:
    return Rung(
        name,
        least,
        _open,
        source=ways + _CORE,
        types=("net", "net_device", "ns_common"),
        programs=tuple(Program(name, point(f"xdp_{name}")) for name in _PROGRAMS),
    )


HOOK = Hook(
    name="xdp-errors",
    title="XDP errors",
    question="Which XDP programs abort, and whose packets could not be sent or redirected.",
    columns=given(
        key("interface", "Interface", "interface that received the packet", width=15, stays=False),
        level("program", "Program", "name#id of the XDP program that is attached now", width=18),
        key("answer", "Answer", "aborted, tx or redirect", width=9),
        key("error", "Error", "why the packet could not be sent there, or -", width=10),
        key("to", "To", "interface it could not be sent to, or -", width=15),
        packet_count("packets", "Packets", "packets lost"),
        INDEX,
        MADE,
        NETNS,
    ),
    # A tracepoint through tracefs has the interface's number only, and that means nothing without
    # its network namespace.
    ladder=(
        _rung("btf-tracepoint", "Linux 5.6, BTF, CAP_BPF, CAP_PERFMON", _TYPED, BtfTracepoint),
        _rung("raw-tracepoint", "Linux 5.6, CAP_BPF, CAP_PERFMON", _READ, RawTracepoint),
        Rung("driver", "nothing; a driver that counts them", _from_drivers, from_zero=False),
    ),
    order=23,
)
