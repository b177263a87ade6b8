"""Drops: every packet the kernel frees as dropped, by interface, reason, place and kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from probes.analysis import classes
from probes.attach.tracepoint import BtfTracepoint, RawTracepoint, Tracepoint
from probes.errors import Unsupported
from probes.hooks.drops import reasons as drop_reasons
from probes.hooks.drops import source as drop_source
from probes.hooks.drops.counters import known_reasons
from probes.hooks.drops.devices import Devices
from probes.hooks.drops.holders import Holders, Port, received
from probes.hooks.drops.untraced import Untraced, packets_row
from probes.kernel import kallsyms, privilege, procfs
from probes.kernel.netlink import route
from probes.model import OTHERS, Column, Hook, Kind, Opening, Program, Reading, Row, Rung, Value
from probes.point import Point
from probes.toolkit.decode import packet_protocol
from probes.toolkit.links import Made
from probes.units import DASH, Unit


def _reasons() -> Unsupported | None:
    """The refusal of a kernel that does not say why it drops; None also where nobody can tell."""
    if drop_reasons.told() is not False:
        return None
    return Unsupported("reasons for drops came with Linux 5.17: this kernel gives none")


def _open(*, reasons: bool) -> Callable[[Opening], Callable[[], Reading]]:
    def open(opening: Opening) -> Callable[[], Reading]:
        tables = opening.tables["rows"], opening.tables["ports"]
        name_of: Callable[[int], str] = drop_reasons.Names() if reasons else lambda _: DASH
        own = procfs.netns()
        kallsyms.prepare()
        untraced = Untraced(own, known_reasons() if reasons else None, traced=True)
        holders, devices = Holders(), Devices(opening, own)
        everything, others = opening.tables["everything"], 0

        def read() -> Reading:
            nonlocal others
            untraced.read()
            counted = everything.row((0,))
            found = [row for table in tables for row in table.rows()]
            places = kallsyms.resolve({int(row[0]) for row in found})
            devices.look({(int(r[3]), int(r[1])) for r in found if r[4] == own})
            where = {
                at: devices.name(*at) for at in {(int(r[3]), int(r[1]), int(r[4])) for r in found}
            }
            rows: dict[tuple[Value, ...], int] = {}
            seen: dict[tuple[int, str, str, int | None], int] = {}
            ports: dict[tuple[Value, ...], Port] = {}
            for location, device, reason, ifindex, netns, protocol, port, trait, packets in found:
                why = name_of(int(reason))
                if why in drop_reasons.NOT_DROPPED:
                    continue
                key = (
                    where[ifindex, device, netns],
                    why,
                    places[int(location)],
                    packet_protocol(int(protocol)),
                    int(port) or None,
                    _trait(int(trait), why),
                    None if netns == own else int(netns),
                    ifindex,
                    device,
                )
                rows[key] = rows.get(key, 0) + int(packets)
                at = int(netns) or own, why, places[int(location)], int(port) or None
                seen[at] = seen.get(at, 0) + int(packets)
                if int(netns) == own and port and received(why):
                    ports[key] = packet_protocol(int(protocol)), int(port)
            holders.look(_by_port(rows, ports))
            traced = [
                packets_row((*key[:3], n, *key[3:6]), key[6:], holders.of(ports.get(key)))
                for key, n in rows.items()
            ]
            # What the map threw out. Those that are no drops are among them.
            others = max(others, (counted[1] if counted else 0) - sum(row[-1] for row in found))
            rest: Row = (DASH, OTHERS, DASH, others, DASH, None, DASH)
            last = [packets_row(rest, (None, 0, 0))] * bool(others)
            return Reading([*traced, *untraced.rows(seen), *last])

        return read

    return open


def _by_port(
    rows: Mapping[tuple[Value, ...], int], ports: Mapping[tuple[Value, ...], Port]
) -> dict[Port, int]:
    """What sockets of this namespace were to receive, by the port."""
    found: dict[Port, int] = {}
    for key, port in ports.items():
        if port[0] in ("tcp", "udp"):
            found[port] = found.get(port, 0) + rows[key]
    return found


def _counters(opening: Opening) -> Callable[[], Reading]:
    """What netlink and procfs count: no place in the code, and no reason but the counter."""
    untraced, made = Untraced(procfs.netns(), None, traced=False), Made(opening)

    def read() -> Reading:
        untraced.read()
        links = made.asked(route.links)
        dropped = [
            packets_row(
                (link.name, name, "netlink", packets, DASH, None, DASH),
                (None, link.ifindex, made.of(link.ifindex)),
            )
            for link in links
            for name, packets in (("rx_dropped", link.rx_dropped), ("tx_dropped", link.tx_dropped))
            if packets
        ]
        return Reading(untraced.rows({}) + dropped)

    return read


def _rung(
    name: str,
    least: str,
    source: str | Callable[[str], str],
    point: Point,
    *,
    reasons: bool = True,
) -> Rung:
    return Rung(
        name,
        least,
        _open(reasons=reasons),
        source=source,
        types=drop_source.TYPES,
        programs=(Program("dropped", point),),
        requires=_reasons if reasons else None,
        samples=True,
    )


_TRAITS = {1: classes.CLOSED, 2: classes.RST, 3: classes.GROUP, 4: classes.SYN}
"""By the number in C."""


def _trait(number: int, reason: str) -> str:
    """A SYN has a row of its own only where that makes another class of it."""
    trait = _TRAITS.get(number, DASH)
    return DASH if trait == classes.SYN and reason != classes.TIME_WAIT else trait


_BTF, _TRACE = BtfTracepoint("kfree_skb"), Tracepoint("skb", "kfree_skb")
_LOADS = "CAP_BPF, CAP_PERFMON"

HOOK = Hook(
    name="drops",
    title="Drops",
    answers="Which packets the kernel itself drops: on which interface, why and where.",
    columns=(
        Column(
            "interface",
            "Interface",
            kind=Kind.KEY,
            stays=False,
            width=15,
            help="where the packet was, or -",
        ),
        Column(
            "reason", "Reason", kind=Kind.KEY, width=24, help="enum skb_drop_reason, or in words"
        ),
        Column(
            "location",
            "Location",
            kind=Kind.KEY,
            width=28,
            help="kernel symbol+offset, or nstat's counter",
        ),
        Column("packets", "Packets", Unit.PACKETS, Kind.COUNTER, "packets", help="dropped"),
        Column(
            "protocol",
            "Protocol",
            kind=Kind.KEY,
            width=8,
            help="what of IP, or the EtherType, or -",
        ),
        Column(
            "dport",
            "Port",
            Unit.NUMBER,
            Kind.KEY,
            width=5,
            help=f"destination port; none: not to be read, or over {drop_source.MAP_ENTRIES} rows",
        ),
        Column(
            "trait",
            "Trait",
            kind=Kind.KEY,
            hidden=True,
            help="closed: the socket was closed; rst, syn: TCP with it; group: multicast; or -",
        ),
        Column(
            "class",
            "Class",
            kind=Kind.DERIVED,
            derive=classes.class_of,
            label=True,
            width=8,
            help="harm, refusal (a rule, a closed port), or ordinary: it had done its work",
        ),
        Column("comm", "Command", width=16, label=False, help="who holds the socket, if only one"),
        Column("pid", "Pid", Unit.NUMBER, width=7, label=False, help="its id"),
        Column(
            "counts",
            "Counts",
            width=7,
            label=True,
            help="packets; again: in other rows, too; events: no packets",
        ),
        Column(
            "netns",
            "NetNS",
            Unit.NUMBER,
            Kind.KEY,
            width=10,
            help="another network namespace than this, by its inode; 0: not known which",
        ),
        Column(
            "ifindex",
            "Index",
            Unit.NUMBER,
            Kind.KEY,
            hidden=True,
            label=False,
            help="the interface's number; stays when renamed",
        ),
        Column(
            "device",
            "Device",
            Unit.NUMBER,
            Kind.KEY,
            hidden=True,
            label=False,
            help="tells it from another that has its number later; 0: not known",
        ),
        Column(
            "meaning",
            "Meaning",
            kind=Kind.DERIVED,
            derive=classes.sentence_of,
            label=False,
            width=40,
            help="what the reason says, in a sentence",
        ),
    ),
    ladder=(
        _rung("btf-tracepoint", f"Linux 5.17, BTF, {_LOADS}", drop_source.typed, _BTF),
        _rung(
            "raw-tracepoint",
            f"Linux 5.17, {_LOADS}",
            drop_source.raw(),
            RawTracepoint("kfree_skb"),
        ),
        _rung("tracepoint", f"Linux 5.17, tracefs, {_LOADS}", drop_source.tracefs(), _TRACE),
        _rung(
            "btf-tracepoint-no-reason",
            f"Linux 5.5, BTF, {_LOADS}",
            drop_source.typed_without_reason,
            _BTF,
            reasons=False,
        ),
        _rung(
            "tracepoint-no-reason",
            f"Linux 4.7, tracefs, {_LOADS}",
            drop_source.tracefs(reasons=False),
            _TRACE,
            reasons=False,
        ),
        Rung("counters", "nothing", _counters, from_zero=False),
    ),
    order=50,
    reads_with=(privilege.SYSLOG, *privilege.PROCESSES),
)
