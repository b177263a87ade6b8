"""Counters of a device's driver: `ethtool -S`. Needs no privilege.

Each driver names its counters as it likes; `at_xdp` knows what those at XDP mean.
"""

from __future__ import annotations

import ctypes
import os
import re
import socket
import struct
from collections.abc import Container, Hashable, Mapping
from errno import EOPNOTSUPP
from fcntl import ioctl
from typing import NamedTuple

from probes.errors import short

_SIOCETHTOOL = 0x8946  # include/uapi/linux/sockios.h
_GSTRINGS, _GSTATS, _GSSET_INFO = 0x1B, 0x1D, 0x37  # include/uapi/linux/ethtool.h: ETHTOOL_*
_GTSO, _GGRO = 0x1E, 0x2B
_SS_STATS, _STRING = 1, 32  # ETH_SS_STATS, ETH_GSTRING_LEN
_ROOM = 4096
"""Spare room, in counters: the kernel writes as many as the driver has by then."""


def statistics(interface: str) -> dict[str, int]:
    """Return a driver's counters by the driver's names, cumulative; empty where it has none.

    Raises OSError: ENODEV where the interface is gone. Linux 2.6.34.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as any_socket:
        try:
            info = _asked(any_socket, interface, struct.pack("=IIQI", _GSSET_INFO, 0, 2, 0), 0)
            known, count = struct.unpack_from("=QI", info, 8)
            if not known or not count:
                return {}
            head = struct.pack("=III", _GSTRINGS, _SS_STATS, count)
            names = _asked(any_socket, interface, head, count * _STRING)
            values = _asked(any_socket, interface, struct.pack("=II", _GSTATS, count), count * 8)
        except OSError as refused:
            if refused.errno != EOPNOTSUPP:
                raise
            return {}  # its driver counts nothing by itself
    given = struct.unpack_from("=I", names, 8)[0], struct.unpack_from("=I", values, 4)[0]
    there = min(count, *given)
    text = (names.raw[12 + _STRING * i :][:_STRING] for i in range(there))
    numbers = struct.unpack_from(f"={there}Q", values, 8)
    return {os.fsdecode(n.split(b"\0")[0]): v for n, v in zip(text, numbers, strict=True)}


class Offloads(NamedTuple):
    """A device's offloads: packets stay joined on the way to it (TSO), are joined coming in (GRO).

    None: the device does not report it.
    """

    tso: bool | None
    gro: bool | None


def joining(interface: str) -> Offloads:
    """Return what `ethtool -k` says of joining. Any Linux."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as any_socket:
        return Offloads(*(_flag(any_socket, interface, command) for command in (_GTSO, _GGRO)))


def _flag(any_socket: socket.socket, interface: str, command: int) -> bool | None:
    try:
        answer = _asked(any_socket, interface, struct.pack("=II", command, 0), 0)
    except OSError:
        return None
    return bool(struct.unpack_from("=I", answer, 4)[0])


def _asked(
    any_socket: socket.socket, interface: str, request: bytes, size: int
) -> ctypes.Array[ctypes.c_char]:
    """Return the request as the kernel filled it in, with so many bytes behind it."""
    room = _ROOM * _STRING if size else 0
    buffer = ctypes.create_string_buffer(request, len(request) + size + room)
    address = ctypes.addressof(buffer)
    ioctl(any_socket, _SIOCETHTOOL, struct.pack("=16sQ16x", os.fsencode(interface), address))
    return buffer


_WORDS = {
    "packets": "packets",
    "aborted": "aborted",
    "drop": "drop",
    "drops": "drop",
    "pass": "pass",
    "tx": "tx",
    "tx_xmit": "tx",
    "redirect": "redirect",
    "redirects": "redirect",
    "tx_errors": "tx_errors",
    "tx_err": "tx_errors",
    "tx_full": "tx_errors",
    "redirect_errors": "redirect_errors",
    "redirect_fail": "redirect_errors",
}
# veth "rx_queue_0_xdp_drops", virtio_net "rx0_xdp_drops", ena "queue_0_rx_xdp_drop", mlx5
# "rx_xdp_drop" beside "rx0_xdp_drop", gve "rx_xdp_drop[0]", enetc "Rx ring  0 XDP drops". Those of
# a sending queue are no verdicts: they count what other interfaces redirected as well.
_XDP = re.compile(rf"((?:.*_)?rx.*_)xdp_({'|'.join(_WORDS)})(_\d+_)?")


def at_xdp(counters: Mapping[str, int]) -> dict[str, int]:
    """Return what a driver counts at its XDP program, of all queues; only what it does count.

    packets: that the program was given; aborted, drop, pass, tx, redirect: by verdict, where a
    driver without `aborted` counts these as dropped, and tx and redirect are those that succeeded;
    tx_errors, redirect_errors: those that were lost instead.
    """
    whole: dict[str, int] = {}
    queues: dict[str, int] = {}
    for name, value in counters.items():
        if (found := _XDP.fullmatch(re.sub(r"[\s\[\]]+", "_", name.lower()))) is None:
            continue
        before, word, after = found.groups()
        into = queues if after or re.search(r"\d", before) else whole
        into[_WORDS[word]] = into.get(_WORDS[word], 0) + value
    return queues | whole


class Since:
    """Counts of drivers at XDP since each program was first seen where it is."""

    def __init__(self) -> None:
        self._first: dict[Hashable, dict[str, int]] = {}

    def counted(self, interface: str, place: Hashable) -> dict[str, int]:
        """Return counts as `at_xdp`, or none. place: which program, and where."""
        try:
            now = at_xdp(statistics(interface))
        except OSError as refused:
            if short(refused.errno):
                raise
            return {}  # gone since it was listed, or not to be read at the moment
        first = self._first.setdefault(place, now)
        # A driver that was reset counts from zero again.
        return {k: v - first[k] if v >= first.get(k, v + 1) else v for k, v in now.items()}

    def keep(self, places: Container[Hashable]) -> None:
        """Forget the places that are gone, so that they start at zero if they come back."""
        self._first = {place: now for place, now in self._first.items() if place in places}
