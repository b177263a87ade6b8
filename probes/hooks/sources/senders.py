"""Senders in words; those of many entries as columns."""

from __future__ import annotations

from collections.abc import Sequence

from probes.arrays import np
from probes.columns.cells import Cells, CodedCells, NumberCells, nothing
from probes.columns.numbered import shared_texts
from probes.drop_rule import protocol_name
from probes.model import Fields
from probes.toolkit.decode import address

_ETHERTYPES = {0x0806: "arp", 0x8035: "rarp", 0x8809: "lacp", 0x88CC: "lldp", 0x8847: "mpls"}
_MAC, _ADDRESS = 6, 16
"""Bytes of addresses."""


def sender(raw: bytes, family: int) -> str:
    """Return an address; a MAC address if the packet is not IP (0)."""
    return address(raw) if family else raw[:_MAC].hex(":")


def protocol_of(family: int, protocol: int) -> str:
    """Return an IP protocol; an EtherType if the packet is not IP."""
    if family:
        return protocol_name(protocol)
    return _ETHERTYPES.get(protocol, f"0x{protocol:04x}")


def sender_cells(interface: str, entries: Fields) -> Sequence[Cells]:
    """Return the columns of an interface's entries."""
    texts = shared_texts()
    is_ip, ports = entries["family"] != 0, entries["port"]
    raw = np.column_stack((entries["address"], is_ip))
    raw[~is_ip, _MAC:] = 0
    return (
        texts.cells([interface], np.zeros(len(entries), "u1")),
        CodedCells(raw, _sender),
        texts.by_values(protocol_of, is_ip, entries["protocol"]),
        NumberCells(ports, entries["ported"] != 0),
        *(NumberCells(entries[name]) for name in ("packets", "bytes", "fragments")),
        nothing(len(entries)),
        nothing(len(entries)),
    )


def _sender(raw: bytes) -> str:
    return sender(raw[:_ADDRESS], raw[_ADDRESS])
