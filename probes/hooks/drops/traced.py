"""Rows of packets that a tracepoint saw, one for each kind of drop; few ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from probes.analysis import classes, drop_stages
from probes.hooks.drops import reasons as drop_reasons
from probes.hooks.drops.devices import Device, Devices
from probes.hooks.drops.holders import LISTED, Port, SocketHolders, of_socket
from probes.hooks.drops.seen import Place, SeenByPlace, SeenDrops
from probes.hooks.drops.senders import Senders
from probes.hooks.drops.untraced import packets_row
from probes.hooks.drops.ways import NO_WAY, OUT, Forwarding, way_of
from probes.kernel import kallsyms
from probes.kernel.procfs import Owner
from probes.model import Flat, Row, Value
from probes.toolkit.decode import packet_protocol
from probes.units import DASH

LOOPBACK = 1
"""LOOPBACK_IFINDEX."""
NO_ROUTE = "dst_discard_out"
"""The function that drops packets without a route, at the loopback if they are for elsewhere."""


class Around(NamedTuple):
    """The context of a row. own: this network namespace. name_of: of a reason's number."""

    own: int
    name_of: Callable[[int], str]
    devices: Devices
    holders: SocketHolders
    senders: Senders
    seen: SeenDrops
    forwarding: Forwarding


def traced_rows(found: list[Flat], around: Around) -> tuple[list[Row], SeenByPlace]:
    """Return the rows of a map's entries, and what was seen, by place."""
    own, _, devices, holders, senders, kept, forwarding = around
    places = kallsyms.resolve({int(row[0]) for row in found})
    found = [_placed(row, places) for row in found]
    devices.look(_by_device(found, own))
    where = {at: devices.name(*at) for at in {(int(r[3]), int(r[1]), int(r[4])) for r in found}}
    rows: dict[tuple[Value, ...], int] = {}
    ways: dict[tuple[Value, ...], str] = {}
    seen: dict[Flat, tuple[Place, int]] = {}
    ports: dict[tuple[Value, ...], Port] = {}
    for location, device, reason, ifindex, netns, protocol, port, mixed, packets in found:
        trait, way = int(mixed) & TRAIT, way_of(int(mixed))
        why = around.name_of(int(reason))
        if why in drop_reasons.NOT_DROPPED:
            continue
        key = (
            where[ifindex, device, netns],
            why,
            places[int(location)],
            packet_protocol(int(protocol)),
            int(port) or None,
            trait_of(trait, why),
            None if netns == own else int(netns),
            ifindex,
            device,
        )
        rows[key] = rows.get(key, 0) + int(packets)
        ways[key] = way if ways.get(key, way) == way else NO_WAY
        at = int(netns) or own, why, places[int(location)], int(port) or None
        entry = location, device, reason, ifindex, netns, protocol, port, trait
        seen[entry] = at, packets + (seen[entry][1] if entry in seen else 0)
        if int(netns) == own and port:
            ports[key] = packet_protocol(int(protocol)), int(port)
    reached = {
        key: port
        for key, port in ports.items()
        if of_socket(str(key[1]), ways[key], str(key[0]), forwarding)
    }
    holders.look(_by_port(rows, reached))

    def owner(key: tuple[Value, ...]) -> Owner | None:
        if key in reached:
            return holders.of(reached[key])
        return senders.of(ports[key]) if key in ports and ways[key] == OUT else None

    traced = [
        packets_row((*key[:3], n, *key[3:6]), key[6:], owner(key), ways[key])
        for key, n in rows.items()
    ]
    return traced, kept.of(seen)


def _placed(row: Flat, places: Mapping[int, str]) -> Flat:
    """Return the row, without the loopback if a packet without a route was meant for elsewhere."""
    if drop_stages.function_of(places[row[0]]) != NO_ROUTE or row[1]:
        return row
    return (*row[:3], 0, *row[4:]) if row[3] == LOOPBACK else row


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
        if port[0] in LISTED:
            found[port] = found.get(port, 0) + rows[key]
    return found


TRAIT = 0xFF
"""Bits of the trait; those above tell the way."""
_TRAITS = {1: classes.CLOSED, 2: classes.RST, 3: classes.GROUP, 4: classes.SYN}
"""Traits by their number in C."""


def trait_of(number: int, reason: str) -> str:
    """Return a row's trait; a SYN has a row of its own only where it changes the class."""
    trait = _TRAITS.get(number, DASH)
    return DASH if trait == classes.SYN and reason != classes.TIME_WAIT else trait
