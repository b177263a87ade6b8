"""C fields to values: bytes in, value out."""

from __future__ import annotations

import errno

import pytest

from probes.toolkit.decode import address, comm, errno_name, packet_protocol


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"curl\0\0\0\0\0\0\0\0\0\0\0\0", "curl"),
        (b"\0" * 16, ""),
        (b"fifteen-letters\0", "fifteen-letters"),
        (b"sixteen-letters!", "sixteen-letters!"),
        (b"new\0old-name\0\0\0\0", "new"),
        ("naïve".encode().ljust(16, b"\0"), "naïve"),
        (b"cut\xc3\0", "cut\udcc3"),
        (b"\xff\xfe\0", "\udcff\udcfe"),
        (b"esc\x1b[2J\0", "esc\x1b[2J"),
    ],
)
def test_a_comm_ends_at_its_first_zero_byte_and_may_hold_anything(raw: bytes, name: str) -> None:
    """It is stored as it is; making it harmless is for who shows it."""
    assert comm(raw) == name
    assert comm(bytearray(raw)) == name


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (bytes(10) + b"\xff\xff\x7f\0\0\x01", "127.0.0.1"),
        (bytes(10) + b"\xff\xff\0\0\0\0", "0.0.0.0"),
        (bytes(16), "::"),
        (bytes(15) + b"\x01", "::1"),
        (bytes(12) + b"\x7f\0\0\x01", "::127.0.0.1"),
        (bytes.fromhex("20010db8000000000000000000000042"), "2001:db8::42"),
        (bytes.fromhex("fe80000000000000021122fffe334455"), "fe80::211:22ff:fe33:4455"),
    ],
)
def test_an_address_is_ipv6_unless_it_is_a_mapped_ipv4_one(raw: bytes, text: str) -> None:
    assert address(raw) == text


@pytest.mark.parametrize("size", [0, 4, 15, 17])
def test_an_address_of_another_length_is_refused(size: int) -> None:
    with pytest.raises((OSError, ValueError)):
        address(bytes(size))


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (errno.ENOENT, "ENOENT"),
        (errno.EAGAIN, "EAGAIN"),
        (512, "ERESTARTSYS"),
        (514, "ERESTARTNOHAND"),
        (515, "ENOIOCTLCMD"),
        (516, "ERESTART_RESTARTBLOCK"),
        (errno.ERESTART, "ERESTART"),
        (4095, "errno 4095"),
    ],
)
def test_errnos_have_their_names(number: int, name: str) -> None:
    assert errno_name(number) == name


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0, "-"),
        (0x0800 << 8 | 6, "tcp"),
        (0x86DD << 8 | 17, "udp"),
        (0x86DD << 8 | 58, "icmpv6"),
        (0x0800 << 8 | 253, "ip 253"),
        (0x0800 << 8, "ipv4"),
        (0x0806 << 8, "arp"),
        (0x88B5 << 8 | 6, "0x88b5"),
    ],
)
def test_a_packet_s_protocol_is_that_of_ip_or_the_ethertype(number: int, name: str) -> None:
    assert packet_protocol(number) == name
