"""Interfaces, qdiscs and filters as rtnetlink lists them. Needs no privilege.

Numbers are those of include/uapi/linux/{if_link,rtnetlink,pkt_sched,pkt_cls}.h.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from probes.kernel.netlink import socket as nlsocket
from probes.kernel.netlink.socket import attributes, chosen, text

_RTM_NEWLINK, _RTM_DELLINK, _RTM_GETLINK = 16, 17, 18
_RTM_GETADDR, _RTM_GETQDISC, _RTM_GETTFILTER = 22, 38, 46
_IFINFO = Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, change
_IFADDR = Struct("=BBBBI")  # struct ifaddrmsg: family, prefix's length, flags, scope, index
_TCMSG = Struct("=BxxxiIII")  # struct tcmsg: family, ifindex, handle, parent, info
_U32, _U64 = Struct("=I"), Struct("=Q")
_LINK_STATS = Struct("=8Q56xQ")  # struct rtnl_link_stats64 up to rx_missed_errors (the 16th)
_BASIC = Struct("=QI")  # struct gnet_stats_basic: bytes, packets
_QUEUE = Struct("=IIIII")  # struct gnet_stats_queue: qlen, backlog, drops, requeues, overlimits

_ARPHRD_LOOPBACK = 772
_IFF_UP = 1
_RTMGRP_LINK = 1
_NO_NETLINK = (errno.EAFNOSUPPORT, errno.EPERM, errno.EACCES, errno.ENOSYS)
"""Errnos of a system call filter, which are final."""
_IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_OPERSTATE, _IFLA_LINKINFO = 3, 4, 5, 16, 18
_IFLA_CARRIER_CHANGES, _IFLA_LINK_NETNSID = 35, 37
_IFLA_STATS, _IFLA_STATS64, _IFLA_AF_SPEC, _IFLA_XDP = 7, 23, 26, 43
_COUNTERS = frozenset({_IFLA_STATS, _IFLA_STATS64, _IFLA_AF_SPEC})  # the latter has those of IPv6
_IFLA_PROP_LIST, _IFLA_ALT_IFNAME = 52, 53
_OF_INTERFACE = frozenset({
    _IFLA_IFNAME, _IFLA_MTU, _IFLA_OPERSTATE, _IFLA_LINKINFO, _IFLA_STATS64, _IFLA_XDP,
    _IFLA_PROP_LIST, _IFLA_LINK, _IFLA_LINK_NETNSID, _IFLA_CARRIER_CHANGES,
})  # fmt: skip
_IFLA_INFO_KIND = 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_OPERSTATES = ("unknown", "gone", "down", "lowdown", "testing", "dormant", "up")

_IFLA_XDP_ATTACHED, _IFLA_XDP_PROG_ID = 2, 4
_XDP_MODES = ("none", "native", "generic", "offload", "several")  # XDP_ATTACHED_*
_XDP_IDS = {5: "native", 6: "generic", 7: "offload"}  # IFLA_XDP_{DRV,SKB,HW}_PROG_ID

_TCA_KIND, _TCA_OPTIONS, _TCA_STATS2 = 1, 2, 7
_STATS_BASIC, _STATS_QUEUE, _STATS_PKT64 = 1, 3, 8
_TCA_BPF_NAME, _TCA_BPF_FLAGS, _TCA_BPF_ID = 7, 8, 11
_BPF_ACT_DIRECT = 1  # TCA_BPF_FLAG_ACT_DIRECT

ROOT = 0xFFFFFFFF  # TC_H_ROOT
CLSACT = 0xFFFFFFF1  # TC_H_CLSACT, the parent of clsact and ingress qdiscs
DIRECTIONS = {"ingress": 0xFFFFFFF2, "egress": 0xFFFFFFF3}  # TC_H_MIN_{INGRESS,EGRESS}


class Interface(NamedTuple):
    """A network interface. Counters are the kernel's own, 64 bit, since the interface was made.

    name: as it is, not made printable. kind: IFLA_INFO_KIND ("veth", "bridge"...), "loopback" or
    "physical". state: up, down, lowdown (what it stands on is down), dormant, testing, gone or
    unknown. xdp_mode: native, generic, offload, several or none. xdp_programs: mode, program id.
    link: the ifindex of what it is on, of a veth that of the other end; 0: none. link_netnsid: the
    number (`nsid`) of the network namespace that this is in; None: this one. carrier_changes: how
    often the link came up or went down (Linux 3.15).
    """

    ifindex: int
    name: str
    kind: str
    state: str
    mtu: int
    rx_packets: int
    tx_packets: int
    rx_bytes: int
    tx_bytes: int
    rx_errors: int
    tx_errors: int
    rx_dropped: int
    tx_dropped: int
    rx_missed: int
    xdp_mode: str
    xdp_programs: tuple[tuple[str, int], ...]
    altnames: tuple[str, ...] = ()
    link: int = 0
    link_netnsid: int | None = None
    carrier_changes: int = 0

    @property
    def xdp_ids(self) -> tuple[int, ...]:
        """Ids of the XDP programs attached, in any mode."""
        return tuple(id for _, id in self.xdp_programs)


_RX_PACKETS, _XDP_MODE = map(Interface._fields.index, ("rx_packets", "xdp_mode"))


class Qdisc(NamedTuple):
    """A queueing discipline. packets, bytes: sent on; drops, overlimits: 32 bit, they wrap.

    A clsact qdisc counts both directions in one, and what its filters drop. backlog: bytes;
    queued: packets. requeues: 32 bit.
    """

    ifindex: int
    kind: str
    handle: int
    parent: int
    packets: int
    bytes: int
    drops: int
    overlimits: int
    backlog: int
    requeues: int = 0
    queued: int = 0


class Filter(NamedTuple):
    """A classifier. name, program_id: of a bpf filter, else "" and 0. parent: from DIRECTIONS.

    direct: whether its program's return value is the verdict (direct-action), not a class.
    """

    ifindex: int
    parent: int
    handle: int
    priority: int
    protocol: int
    kind: str
    name: str
    program_id: int
    direct: bool = False


def links() -> list[Interface]:
    """List every interface of this network namespace. Raises ProbeError."""
    # No RTEXT_FILTER_SKIP_STATS to halve the message: since 7.x that leaves out these counters too.
    request = _IFINFO.pack(0, 0, 0, 0, 0)
    now: dict[int, _LinkMessage] = {}
    decode = partial(_link, _told[0], now)
    found = nlsocket.dump(nlsocket.ROUTE, _RTM_GETLINK, request, decode)
    _told[0] = now
    return list({link.ifindex: link for link in found}.values())


class Changes:
    """Changes of interfaces (come, gone, changed) that the kernel reports: asking costs nothing.

    Where it does not report them, or reported more than could be kept, interfaces are listed.
    """

    def __init__(self) -> None:
        self._told = nlsocket.listener(nlsocket.ROUTE, _RTMGRP_LINK)
        self._changed = True
        self._gone: set[int] = set()
        self._there: set[int] = set()
        self._missed = True
        self._list()

    def seen(self) -> bool:
        """Return whether any came since the last call; True at first, and where none can be."""
        self._look()
        changed, self._changed = self._changed, False
        return changed

    def gone(self) -> frozenset[int]:
        """Return the ifindexes that have gone, or left this network namespace, since the last call.

        Other interfaces may have these numbers by now.
        """
        self._look()
        gone, self._gone = frozenset(self._gone), set()
        return gone

    def _look(self) -> None:
        told, whole = nlsocket.heard(self._told) if self._told is not None else ([], False)
        for kind, message in told:
            self._hear(kind, message)
        self._missed |= not whole
        self._changed |= self._missed or bool(told)
        if self._missed:
            self._list()

    def _hear(self, kind: int, message: bytes) -> None:
        if kind not in (_RTM_NEWLINK, _RTM_DELLINK) or len(message) < _IFINFO.size:
            return
        family, _, ifindex, _, _ = _IFINFO.unpack_from(message)
        if family != socket.AF_UNSPEC:
            return  # it came to a bridge, or left it
        if kind == _RTM_NEWLINK:
            self._there.add(ifindex)
        else:
            self._there.discard(ifindex)
            self._gone.add(ifindex)

    def _list(self) -> None:
        """List interfaces; those that are missing have gone, reported or not."""
        with suppress(OSError):  # the next time, then
            there = {*names()}
            self._gone |= self._there - there
            self._there, self._missed = there, False

    def close(self) -> None:
        if self._told is not None:
            self._told.close()


def addresses() -> dict[int, list[str]]:
    """Return IPv4 and IPv6 addresses by the index of their interface. Raises ProbeError."""
    found: dict[int, list[str]] = {}
    body = _IFADDR.pack(0, 0, 0, 0, 0)
    for ifindex, address in nlsocket.dump(nlsocket.ROUTE, _RTM_GETADDR, body, _address):
        found.setdefault(ifindex, []).append(address)
    return found


def names() -> dict[int, str]:
    """Return every interface's name by its number. Raises OSError.

    Where this process is refused netlink (systemd's RestrictAddressFamilies= or SystemCallFilter=,
    a container runtime): what the mounted sysfs has, or nothing.
    """
    try:
        return dict(socket.if_nameindex())
    except OSError as refused:
        if refused.errno not in _NO_NETLINK:
            raise
    try:
        places = list(Path("/sys/class/net").iterdir())
    except FileNotFoundError:
        return {}
    found = {}
    for place in places:
        try:
            found[int((place / "ifindex").read_text())] = place.name
        except (OSError, ValueError):
            continue  # gone meanwhile; bonding_masters is no interface
    return found


def link(ifindex: int) -> Interface | None:
    """Return one interface, or None where it is not there. Raises ProbeError."""
    request = _IFINFO.pack(0, 0, ifindex, 0, 0)
    return nlsocket.get(nlsocket.ROUTE, _RTM_GETLINK, request, _interface)


def named(name: str) -> Interface | None:
    """Return an interface by its name or alternative name (`ip link property`, Linux 5.5).

    None where there is none. Raises ProbeError.
    """
    there = links()
    by_name = (link for link in there if link.name == name)
    return next(by_name, None) or next((x for x in there if name in x.altnames), None)


def qdiscs() -> list[Qdisc]:
    """List every qdisc of this network namespace except built-in defaults. Raises ProbeError."""
    return nlsocket.dump(nlsocket.ROUTE, _RTM_GETQDISC, _TCMSG.pack(0, 0, 0, 0, 0), _qdisc)


def filters(ifindex: int, direction: str) -> list[Filter]:
    """List the filters at an interface's clsact (or ingress) qdisc, in the order they run.

    None where there is no such qdisc or interface. Raises ProbeError.
    """
    request = _TCMSG.pack(0, ifindex, 0, DIRECTIONS[direction], 0)
    return nlsocket.dump(nlsocket.ROUTE, _RTM_GETTFILTER, request, _filter)


class _LinkMessage(NamedTuple):
    """A message on an interface, and what it said.

    same: what is around its counters, and from where to where. stats: where those are that are
    shown. All places are from its beginning on.
    """

    link: Interface
    length: int
    same: tuple[tuple[int, int, bytes], ...]
    stats: int

    @classmethod
    def of(cls, data: bytes, start: int, end: int) -> _LinkMessage:
        same, begin, stats = [], start, 0
        for kind, at, to in attributes(data, start + _IFINFO.size, end):
            if kind in _COUNTERS:
                same.append((begin - start, at - start, data[begin:at]))
                begin = to
            if kind == _IFLA_STATS64:
                stats = at - start
        same.append((begin - start, end - start, data[begin:end]))
        return cls(_interface(data, start, end), end - start, tuple(same), stats)

    def repeated(self, data: bytes, start: int, end: int) -> _LinkMessage | None:
        """Return the same with another message's counters; None where more than they differs."""
        if end - start != self.length or not self.stats:
            return None
        for begin, to, octets in self.same:
            if data[start + begin : start + to] != octets:
                return None
        counters, link = _LINK_STATS.unpack_from(data, start + self.stats), self.link
        if counters == link[_RX_PACKETS:_XDP_MODE]:
            return self
        now = Interface._make((*link[:_RX_PACKETS], *counters, *link[_XDP_MODE:]))
        return _LinkMessage(now, self.length, self.same, self.stats)


_told: list[Mapping[int, _LinkMessage]] = [{}]
"""The messages of the latest listing: in most of the next only counters are others."""


def _link(
    before: Mapping[int, _LinkMessage],
    now: dict[int, _LinkMessage],
    data: bytes,
    start: int,
    end: int,
) -> Interface:
    """Decode an interface. before: earlier messages, by ifindex. now: gets this one."""
    ifindex = _IFINFO.unpack_from(data, start)[2]
    was = before.get(ifindex)
    told = was.repeated(data, start, end) if was is not None else None
    now[ifindex] = told = told or _LinkMessage.of(data, start, end)
    return told.link


def _interface(data: bytes, start: int, end: int) -> Interface:
    _, device, ifindex, flags, _ = _IFINFO.unpack_from(data, start)
    found = chosen(data, start + _IFINFO.size, end, _OF_INTERFACE)
    name = text(data, *found[_IFLA_IFNAME]) if _IFLA_IFNAME in found else ""
    (mtu,) = _U32.unpack_from(data, found[_IFLA_MTU][0]) if _IFLA_MTU in found else (0,)
    state = data[found[_IFLA_OPERSTATE][0]] if _IFLA_OPERSTATE in found else 0
    kind = "loopback" if device == _ARPHRD_LOOPBACK else "physical"
    if _IFLA_LINKINFO in found:
        kind = _text_in(data, *found[_IFLA_LINKINFO], _IFLA_INFO_KIND) or kind
    stats: tuple[int, ...] = (0,) * 9
    if _IFLA_STATS64 in found:
        stats = _LINK_STATS.unpack_from(data, found[_IFLA_STATS64][0])
    mode, programs = _xdp(data, *found[_IFLA_XDP]) if _IFLA_XDP in found else ("none", ())
    known = (ifindex, name, kind, _state(state, flags), mtu, *stats, mode, programs)
    altnames = _altnames(data, found.get(_IFLA_PROP_LIST))
    changes = found.get(_IFLA_CARRIER_CHANGES)
    (flaps,) = _U32.unpack_from(data, changes[0]) if changes is not None else (0,)
    return Interface._make((*known, altnames, *_link_of(data, found), flaps))


def _link_of(data: bytes, found: Mapping[int, tuple[int, int]]) -> tuple[int, int | None]:
    """Return what it is on, and the number of the network namespace of that."""
    if _IFLA_LINK not in found:
        return 0, None
    (link,) = _U32.unpack_from(data, found[_IFLA_LINK][0])
    if _IFLA_LINK_NETNSID not in found:
        return link, None
    return link, _U32.unpack_from(data, found[_IFLA_LINK_NETNSID][0])[0]


def _altnames(data: bytes, properties: tuple[int, int] | None) -> tuple[str, ...]:
    if properties is None:
        return ()
    listed = attributes(data, *properties)
    return tuple([text(data, at, to) for kind, at, to in listed if kind == _IFLA_ALT_IFNAME])


def _address(data: bytes, start: int, end: int) -> tuple[int, str] | None:
    """Return ifindex and address. On a point-to-point link IFA_ADDRESS is the other end's."""
    family, _, _, _, ifindex = _IFADDR.unpack_from(data, start)
    found = {kind: data[at:to] for kind, at, to in attributes(data, start + _IFADDR.size, end)}
    raw = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS)
    if raw is None or family not in (socket.AF_INET, socket.AF_INET6):
        return None
    return ifindex, socket.inet_ntop(family, raw[: 4 if family == socket.AF_INET else 16])


def _state(operstate: int, flags: int) -> str:
    """Return the state. Devices that report none (loopback, tun) are as their admin set them."""
    if operstate == 0:
        return "up" if flags & _IFF_UP else "down"
    return _OPERSTATES[operstate] if operstate < len(_OPERSTATES) else "unknown"


def _xdp(data: bytes, start: int, end: int) -> tuple[str, tuple[tuple[str, int], ...]]:
    mode, only, ids = "none", 0, []
    for attribute, at, _ in attributes(data, start, end):
        if attribute == _IFLA_XDP_ATTACHED:
            mode = _XDP_MODES[data[at]] if data[at] < len(_XDP_MODES) else "several"
        elif attribute == _IFLA_XDP_PROG_ID:
            (only,) = _U32.unpack_from(data, at)
        elif attribute in _XDP_IDS:
            ids.append((_XDP_IDS[attribute], _U32.unpack_from(data, at)[0]))
    if only and not ids:  # before Linux 5.0 there were no ids by mode
        ids.append((mode, only))
    return mode, tuple(ids)


def _text_in(data: bytes, start: int, end: int, wanted: int) -> str:
    found = chosen(data, start, end, (wanted,))
    return text(data, *found[wanted]) if found else ""


def _qdisc(data: bytes, start: int, end: int) -> Qdisc:
    _, ifindex, handle, parent, _ = _TCMSG.unpack_from(data, start)
    kind = ""
    stats: tuple[int, ...] = (0,) * 7
    for attribute, at, to in attributes(data, start + _TCMSG.size, end):
        if attribute == _TCA_KIND:
            kind = text(data, at, to)
        elif attribute == _TCA_STATS2:
            stats = _qdisc_stats(data, at, to)
    return Qdisc._make((ifindex, kind, handle, parent, *stats))


def _qdisc_stats(data: bytes, start: int, end: int) -> tuple[int, ...]:
    """Return the counters of `Qdisc`, from packets on."""
    packets = octets = drops = overlimits = backlog = wide = requeues = queued = 0
    for attribute, at, _ in attributes(data, start, end):
        if attribute == _STATS_BASIC:
            octets, packets = _BASIC.unpack_from(data, at)
        elif attribute == _STATS_PKT64:  # only where 32 bits do not hold them (Linux 5.5)
            (wide,) = _U64.unpack_from(data, at)
        elif attribute == _STATS_QUEUE:
            queued, backlog, drops, requeues, overlimits = _QUEUE.unpack_from(data, at)
    return wide or packets, octets, drops, overlimits, backlog, requeues, queued


def _filter(data: bytes, start: int, end: int) -> Filter | None:
    _, ifindex, handle, parent, info = _TCMSG.unpack_from(data, start)
    kind, of_bpf = "", ("", 0, False)
    for attribute, at, to in attributes(data, start + _TCMSG.size, end):
        if attribute == _TCA_KIND:
            kind = text(data, at, to)
        elif attribute == _TCA_OPTIONS and kind == "bpf":
            of_bpf = _bpf_options(data, at, to)
    protocol = (info & 0xFF) << 8 | (info >> 8 & 0xFF)  # in network byte order there
    return Filter(ifindex, parent, handle, info >> 16, protocol, kind, *of_bpf)


def _bpf_options(data: bytes, start: int, end: int) -> tuple[str, int, bool]:
    name, program, direct = "", 0, False
    for attribute, at, to in attributes(data, start, end):
        if attribute == _TCA_BPF_NAME:
            name = text(data, at, to)
        elif attribute == _TCA_BPF_ID:
            (program,) = _U32.unpack_from(data, at)
        elif attribute == _TCA_BPF_FLAGS:
            direct = bool(_U32.unpack_from(data, at)[0] & _BPF_ACT_DIRECT)
    return name, program, direct
