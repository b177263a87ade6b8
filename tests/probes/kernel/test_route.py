"""Interfaces, qdiscs and filters: bytes in, values out; and what any user may read here."""

from __future__ import annotations

from struct import pack

import pytest

from probes.kernel.netlink import route


def _attribute(kind: int, payload: bytes) -> bytes:
    return pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def _interface(flags: int = 1, device: int = 1, **attributes: bytes) -> route.Interface:
    kinds = {"name": 3, "mtu": 4, "operstate": 16, "linkinfo": 18, "stats": 23, "xdp": 43}
    data = pack("=BxHiII", 0, device, 7, flags, 0)
    data += b"".join(_attribute(kinds[k], v) for k, v in attributes.items())
    return route._interface(b"??" + data, 2, 2 + len(data))


def test_counters_are_read_from_their_places() -> None:
    """struct rtnl_link_stats64 as of Linux 5.19, each field holding its own position."""
    link = _interface(stats=pack("=25Q", *range(25)))
    assert (link.rx_packets, link.tx_packets, link.rx_bytes, link.tx_bytes) == (0, 1, 2, 3)
    assert (link.rx_errors, link.tx_errors, link.rx_dropped, link.tx_dropped) == (4, 5, 6, 7)
    assert link.rx_missed == 15


@pytest.mark.parametrize(
    ("operstate", "flags", "state"),
    [
        (0, 1, "up"),
        (0, 0, "down"),
        (2, 1, "down"),
        (3, 1, "lowdown"),
        (6, 1, "up"),
        (99, 1, "unknown"),
    ],
)
def test_state_is_named(operstate: int, flags: int, state: str) -> None:
    assert _interface(flags, operstate=bytes([operstate])).state == state


def test_kind_is_the_device_s_own_or_loopback_or_physical() -> None:
    assert _interface(linkinfo=_attribute(1, b"veth\0")).kind == "veth"
    assert _interface(device=772).kind == "loopback"
    assert _interface().kind == "physical"


@pytest.mark.parametrize(
    ("attributes", "mode", "programs"),
    [
        (((2, b"\0"),), "none", ()),
        (((2, b"\1"), (4, pack("=I", 9)), (5, pack("=I", 9))), "native", (("native", 9),)),
        (((2, b"\2"), (4, pack("=I", 9))), "generic", (("generic", 9),)),
        (
            ((2, b"\4"), (5, pack("=I", 8)), (7, pack("=I", 9))),
            "several",
            (("native", 8), ("offload", 9)),
        ),
    ],
)
def test_xdp_mode_and_programs(
    attributes: tuple[tuple[int, bytes], ...], mode: str, programs: tuple[tuple[str, int], ...]
) -> None:
    nest = b"".join(_attribute(kind, value) for kind, value in attributes)
    link = _interface(xdp=nest)
    assert (link.xdp_mode, link.xdp_programs) == (mode, programs)
    assert link.xdp_ids == tuple(id for _, id in programs)


def test_a_qdisc_with_more_packets_than_32_bits_hold() -> None:
    stats = _attribute(1, pack("=QI", 1 << 40, 5)) + _attribute(8, pack("=Q", (1 << 32) + 5))
    stats += _attribute(3, pack("=5I", 1, 2, 3, 4, 5))
    data = pack("=BxxxiIII", 0, 7, 0x10000, route.ROOT, 0)
    data += _attribute(1, b"fq\0") + _attribute(7, stats)
    counted = ((1 << 32) + 5, 1 << 40, 3, 5, 2, 4, 1)
    expected = route.Qdisc(7, "fq", 0x10000, route.ROOT, *counted)
    assert route._qdisc(data, 0, len(data)) == expected


def test_a_bpf_filter_s_name_and_program() -> None:
    options = _attribute(7, b"ours\0") + _attribute(11, pack("=I", 42))
    data = pack("=BxxxiIII", 0, 7, 1, route.DIRECTIONS["egress"], 49152 << 16 | 0x0300)
    data += _attribute(1, b"bpf\0") + _attribute(2, options)
    found = route._filter(data, 0, len(data))
    assert found == route.Filter(7, route.DIRECTIONS["egress"], 1, 49152, 3, "bpf", "ours", 42)


def test_any_user_sees_the_loopback_interface() -> None:
    (loopback,) = [link for link in route.links() if link.kind == "loopback"]
    assert loopback.name == "lo"
    assert route.link(loopback.ifindex) is not None


def test_an_address_is_the_interface_s_own_end_of_a_link() -> None:
    """IFA_LOCAL before IFA_ADDRESS, which is the other end's; other families have none here."""

    def address(family: int, **attributes: bytes) -> tuple[int, str] | None:
        kinds = {"address": 1, "local": 2}
        data = pack("=BBBBI", family, 24, 0, 0, 7)
        data += b"".join(_attribute(kinds[k], v) for k, v in attributes.items())
        return route._address(b"??" + data, 2, 2 + len(data))

    assert address(2, address=b"\x0a\0\0\1", local=b"\x0a\0\0\2") == (7, "10.0.0.2")
    assert address(10, address=bytes(15) + b"\1") == (7, "::1")
    assert address(29, address=b"\1\2\3\4") is None
    assert address(2) is None


def test_the_loopback_has_its_address() -> None:
    """As any user may ask."""
    lo = next(link for link in route.links() if link.kind == "loopback")
    if lo.state == "up":
        assert "127.0.0.1" in route.addresses()[lo.ifindex]
