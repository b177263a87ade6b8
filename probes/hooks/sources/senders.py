"""Senders in words; those of many entries as columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from probes.arrays import np
from probes.columns.cells import Cells, CodedCells, NumberCells
from probes.drop_rule import protocol_name
from probes.model import Fields
from probes.toolkit.decode import address
from probes.toolkit.numbered import Texts

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


class Senders:
    """A maker of columns."""

    def __init__(self) -> None:
        self._texts = Texts()

    def of(self, interface: str) -> Callable[[Fields], Sequence[Cells]]:
        """Return the function that makes the columns of an interface's entries."""
        return lambda entries: self._cells(interface, entries)

    def _cells(self, interface: str, entries: Fields) -> Sequence[Cells]:
        self._texts.tidy()
        is_ip, ports = entries["family"] != 0, entries["port"]
        raw = np.column_stack((entries["address"], is_ip))
        raw[~is_ip, _MAC:] = 0
        return (
            self._texts.cells([interface], np.zeros(len(entries), "u1")),
            CodedCells(raw, _sender),
            self._texts.by_values(protocol_of, is_ip, entries["protocol"]),
            NumberCells(ports, entries["ported"] != 0),
            *(NumberCells(entries[name]) for name in ("packets", "bytes", "fragments")),
        )


def _sender(raw: bytes) -> str:
    return sender(raw[:_ADDRESS], raw[_ADDRESS])
