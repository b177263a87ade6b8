"""Readers of the rungs of drops: what was traced, beside the kernel's own counters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from probes.analysis import classes, drop_stages
from probes.hooks.drops import reasons as drop_reasons
from probes.hooks.drops.counters import known_reasons
from probes.hooks.drops.devices import Device, Devices
from probes.hooks.drops.holders import Port, SocketHolders, received
from probes.hooks.drops.seen import Place, SeenDrops
from probes.hooks.drops.untraced import Untraced, packets_row
from probes.kernel import kallsyms, procfs
from probes.kernel.netlink import route
from probes.model import OTHERS, Flat, Opening, Reading, Row, Value
from probes.toolkit.decode import packet_protocol
from probes.toolkit.links import Made
from probes.units import DASH


def open_traced(*, reasons: bool) -> Callable[[Opening], Callable[[], Reading]]:
    def open(opening: Opening) -> Callable[[], Reading]:
        tables = opening.tables["rows"], opening.tables["ports"]
        name_of: Callable[[int], str] = drop_reasons.Names() if reasons else lambda _: DASH
        own = procfs.netns()
        kallsyms.prepare()
        told, kept = known_reasons() if reasons else None, SeenDrops()
        untraced = Untraced(own, told, traced=True, forget=kept.forget)
        holders, devices = SocketHolders(), Devices(opening, own)
        everything, others = opening.tables["everything"], 0

        def read() -> Reading:
            nonlocal others
            untraced.read()
            counted = everything.row((0,))
            found = [row for table in tables for row in table.rows()]
            places = kallsyms.resolve({int(row[0]) for row in found})
            found = [_placed(row, places) for row in found]
            devices.look(_by_device(found, own))
            where = {
                at: devices.name(*at) for at in {(int(r[3]), int(r[1]), int(r[4])) for r in found}
            }
            rows: dict[tuple[Value, ...], int] = {}
            seen: dict[Flat, tuple[Place, int]] = {}
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
                entry = location, device, reason, ifindex, netns, protocol, port, trait
                seen[entry] = at, packets + (seen[entry][1] if entry in seen else 0)
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
            return Reading([*traced, *untraced.rows(kept.of(seen)), *last])

        return read

    return open


_LOOPBACK = 1  # LOOPBACK_IFINDEX


def _placed(row: Flat, places: Mapping[int, str]) -> Flat:
    """Return the row, without the loopback if a packet without a route was meant for elsewhere."""
    if drop_stages.function_of(places[row[0]]) != "dst_discard_out" or row[1]:
        return row
    return (*row[:3], 0, *row[4:]) if row[3] == _LOOPBACK else row


def _by_device(found: Iterable[Flat], own: int) -> dict[Device, int]:
    """Return the drops at each device of this namespace."""
    packets: dict[Device, int] = {}
    for _, device, _, ifindex, netns, *_, n in found:
        if netns == own:
            packets[ifindex, device] = packets.get((ifindex, device), 0) + n
    return packets


def _by_port(
    rows: Mapping[tuple[Value, ...], int], ports: Mapping[tuple[Value, ...], Port]
) -> dict[Port, int]:
    """Return the packets that sockets of this namespace were to receive, by port."""
    found: dict[Port, int] = {}
    for key, port in ports.items():
        if port[0] in ("tcp", "udp"):
            found[port] = found.get(port, 0) + rows[key]
    return found


def from_counters(opening: Opening) -> Callable[[], Reading]:
    """Read counters of netlink and procfs: no place in the code, and no reason but the counter."""
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


_TRAITS = {1: classes.CLOSED, 2: classes.RST, 3: classes.GROUP, 4: classes.SYN}
"""Traits by their number in C."""


def _trait(number: int, reason: str) -> str:
    """Return a row's trait; a SYN has a row of its own only where it changes the class."""
    trait = _TRAITS.get(number, DASH)
    return DASH if trait == classes.SYN and reason != classes.TIME_WAIT else trait
