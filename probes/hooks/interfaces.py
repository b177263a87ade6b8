"""Interfaces: every network interface with the kernel's own counters. No privilege needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from probes.foreign.names import ProgramNames
from probes.kernel import ethtool
from probes.kernel.netlink import route
from probes.owners.peers import Peer, shared_peers
from probes.toolkit import (
    CONTAINER,
    MADE,
    NETNS,
    Hook,
    Opening,
    Reading,
    Row,
    Rung,
    Unit,
    Value,
    counter,
    given,
    key,
    level,
    link_counters,
    packet_count,
)
from probes.toolkit.bounded import Bounded
from probes.toolkit.links import Made


def _open(opening: Opening) -> Callable[[], Reading]:
    addresses, made, rows = _Addresses(), Made(opening), _LinkRows(opening)

    def read() -> Reading:
        links = made.asked(route.links)
        rows.forget(made.anew)
        known = addresses.of(links)
        rows.peers = shared_peers.of(links)
        return Reading([rows.of(x, known.get(x.ifindex, ()), made.of(x.ifindex)) for x in links])

    return read


class _RowParts(NamedTuple):
    """Parts of a row."""

    link: route.Interface
    addresses: Sequence[str]
    driver: str
    made: int
    joining: Mapping[str, Value]
    peer: Peer | None


class _LinkRows:
    """Rows of interfaces. Of most interfaces of a large host nothing changes.

    peers: the other ends of those that are veths.
    """

    def __init__(self, opening: Opening) -> None:
        self._in_order = itemgetter(*[c.name for c in opening.hook.stored])
        self._names, self._joining = ProgramNames(), _Joining()
        self._drivers: dict[int, str] = Bounded()
        self._latest: dict[int, tuple[_RowParts, Row]] = Bounded()
        self.peers: Mapping[int, Peer] = {}

    def forget(self, gone: Iterable[int]) -> None:
        """Forget interfaces whose numbers others may have now."""
        for ifindex in gone:
            self._drivers.pop(ifindex, None)

    def of(self, link: route.Interface, addresses: Sequence[str], made: int) -> Row:
        ifindex = link.ifindex
        if ifindex not in self._drivers:
            self._drivers[ifindex] = _driver(link.name) if link.kind == "physical" else ""
        driver = self._drivers[ifindex]
        joining, peer = self._joining.of(link, driver), self.peers.get(ifindex)
        parts = _RowParts(link, addresses, driver, made, joining, peer)
        before, row = self._latest.get(ifindex, (None, ()))
        if before != parts or link.xdp_programs:  # whose names may come later
            row = self._made(parts)
            self._latest[ifindex] = parts, row
        return row

    def _made(self, parts: _RowParts) -> Row:
        link = parts.link
        known: dict[str, Value] = link._asdict()
        known["interface"] = known.pop("name")
        known["driver"], known["made"] = parts.driver, parts.made
        known["xdp_program"] = programs_on(link, self._names)
        known["addresses"] = " ".join(parts.addresses)
        known["altnames"] = " ".join(link.altnames)
        peer = parts.peer
        known["peer"] = None if peer is None else str(peer)
        known["peer_ifindex"] = None if peer is None else peer.ifindex
        known["peer_netns"] = None if peer is None else peer.netns
        known["peer_netns_name"] = None if peer is None else peer.called
        known["container"] = known["netns_name"] = None  # filled like every hook's
        row: Row = self._in_order({**known, **parts.joining})
        return row


class _Addresses:
    """Addresses of interfaces, reread every few seconds and whenever one is added or removed."""

    REST = 5.0

    def __init__(self) -> None:
        self._known: dict[int, list[str]] = {}
        self._there: frozenset[int] | None = None
        self._asked = 0.0

    def of(self, links: Iterable[route.Interface]) -> Mapping[int, Sequence[str]]:
        there = frozenset([link.ifindex for link in links])
        if there != self._there or monotonic() - self._asked > self.REST:
            self._known, self._there, self._asked = route.addresses(), there, monotonic()
        return self._known


_TUNNELS = frozenset(
    {"vxlan", "geneve", "gre", "gretap", "ip6gre", "ip6gretap", "ipip", "sit", "ip6tnl", "bareudp"}
)
_JOIN = _TUNNELS | {"physical", "veth", "bond", "team", "macsec", "wireguard", "netdevsim"}
"""Kinds whose packets GRO joins after the device counted them (NAPI, or GRO cells of their own)."""
_WHOLE = frozenset({"virtio_net", "xen_netfront", "hv_netvsc", "netvsc", "vif"})
"""Drivers that send and count a GSO packet as one packet. Others count what is on the wire."""


class _Joining:
    """Meaning of a device's counters where packets are joined; read again every few seconds."""

    REST = 5.0

    def __init__(self) -> None:
        self._known: dict[int, tuple[float, dict[str, Value]]] = Bounded()

    def of(self, link: route.Interface, driver: str) -> Mapping[str, Value]:
        asked, answer = self._known.get(link.ifindex, (-math.inf, {}))
        if monotonic() - asked > self.REST:
            told = ethtool.joining(link.name)
            answer = {
                "frames": int(link.kind == "physical" and driver not in _WHOLE),
                "whole": int(told.tso is not False),
                "joins": int(bool(told.gro) and link.kind in _JOIN),
            }
            self._known[link.ifindex] = monotonic(), answer
        return answer


def _driver(name: str) -> str:
    """Return the driver of a device, "" where sysfs shows none.

    (It shows those of its own mount.)
    """
    try:
        return Path("/sys/class/net", name, "device/driver").readlink().name
    except OSError:
        return ""


def programs_on(link: route.Interface, names: ProgramNames) -> str:
    """Return name#id of the XDP programs on an interface."""
    return " ".join(f"{names[id] or '?'}#{id}" for id in link.xdp_ids)


HOOK = Hook(
    name="interfaces",
    title="Interfaces",
    question=(
        "Which interfaces carry traffic, drop packets or have errors, and which XDP program is "
        "attached."
    ),
    columns=given(
        key(
            "ifindex",
            "Index",
            "interface number; unchanged by renaming",
            Unit.NUMBER,
            width=5,
            label=False,
        ),
        level("interface", "Interface", "the interface's name", width=15, label=True),
        level("kind", "Kind", "loopback, physical, or the virtual device's type"),
        level("state", "State", "operational state (IFLA_OPERSTATE)", width=7),
        level("mtu", "MTU", "largest packet, in bytes", Unit.NUMBER, width=5),
        *link_counters(),
        packet_count("rx_missed", "Missed", "dropped by the device because it had no buffer"),
        counter("carrier_changes", "Carrier", "times that the link came up or went down"),
        level("xdp_mode", "XDP", "native, generic, offload, several or none"),
        level("xdp_program", "XDP program", "name#id of the XDP program, of any owner", width=18),
        level("altnames", "Altnames", "alternative names, separated by spaces", width=14),
        level("driver", "Driver", "driver of a physical device; used by the funnel", hidden=True),
        level(
            "addresses",
            "Addresses",
            "IPv4 and IPv6 addresses; used to find its connections",
            hidden=True,
        ),
        level(
            "frames",
            "Frames",
            "1: the device counts frames as they are on the wire",
            Unit.NUMBER,
            hidden=True,
        ),
        level(
            "whole",
            "Whole",
            "0: GSO packets are split before they reach the device",
            Unit.NUMBER,
            hidden=True,
        ),
        level(
            "joins",
            "Joins",
            "1: GRO joins packets after the device has counted them",
            Unit.NUMBER,
            hidden=True,
        ),
        level("peer", "Peer", "other end of a veth, and its network namespace", width=22),
        level("peer_ifindex", "Peer index", "number of that interface there", Unit.NUMBER),
        level("peer_netns", "Peer netns", "inode of that namespace; none: this one", Unit.NUMBER),
        level("peer_netns_name", "Peer NetNS", "name of that namespace", width=16),
        MADE,
        replace(CONTAINER, label=True),
        NETNS,
    ),
    ladder=(Rung("netlink", "nothing", _open, from_zero=False),),
    order=10,
)
