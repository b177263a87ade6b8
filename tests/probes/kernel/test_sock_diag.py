"""TCP_INFO of any length, and what any user may see of the sockets here."""

from __future__ import annotations

import os
import socket
from struct import pack, pack_into

import pytest

from probes.kernel.netlink import sock_diag
from probes.kernel.netlink.sock_diag import TcpState

_SO_COOKIE = 57


def _info(size: int) -> bytes:
    """Fields at their offsets in include/uapi/linux/tcp.h, as far as the size reaches."""
    data = bytearray(300)
    for at, value in {68: 150, 72: 75, 80: 10, 100: 3, 136: 7, 140: 8, 148: 90, 156: 6}.items():
        pack_into("=I", data, at, value)
    pack_into("=QQ", data, 120, 1 << 33, 1 << 34)
    pack_into("=I", data, 192, 5)
    return bytes(data[:size])


@pytest.mark.parametrize("size", [196, 232, 300])
def test_every_field_is_read_from_its_place(size: int) -> None:
    assert sock_diag.tcp_info(_info(size)) == sock_diag.TcpInfo(
        rtt_us=150,
        rttvar_us=75,
        snd_cwnd=10,
        total_retrans=3,
        bytes_acked=1 << 33,
        bytes_received=1 << 34,
        segs_out=7,
        segs_in=8,
        min_rtt_us=90,
        data_segs_in=0,
        data_segs_out=6,
        delivered=5,
    )


def test_an_older_kernel_s_shorter_struct_is_enough() -> None:
    info = sock_diag.tcp_info(_info(104))
    assert (info.rtt_us, info.total_retrans) == (150, 3)
    assert (info.min_rtt_us, info.segs_out) == (None, 0)


def test_no_sample_yet_is_no_minimum() -> None:
    data = bytearray(_info(232))
    data[148:152] = pack("=I", 0xFFFFFFFF)
    assert sock_diag.tcp_info(bytes(data)).min_rtt_us is None


def test_any_user_sees_a_connection_s_both_ends() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
        server.accept()[0] as accepted,
    ):
        found = {s.inode: s for s in sock_diag.tcp_sockets(sock_diag.CONNECTED)}
        one, other = (found[os.fstat(s.fileno()).st_ino] for s in (client, accepted))
        cookie = client.getsockopt(socket.SOL_SOCKET, _SO_COOKIE, 8)
        assert one.cookie == int.from_bytes(cookie, "little")
        assert (one.laddr, one.lport) == (other.raddr, other.rport) == client.getsockname()
        assert one.state == TcpState.ESTABLISHED
        assert one.uid == os.getuid()
        assert one.info is not None
        assert one.info.rtt_us > 0


def test_masks_are_sets_of_states() -> None:
    assert sock_diag.mask(TcpState.LISTEN, TcpState.ESTABLISHED, TcpState.LISTEN) == 0x402
    assert sock_diag.ALL & sock_diag.mask(TcpState.TIME_WAIT)
    assert not sock_diag.CONNECTED & sock_diag.mask(TcpState.TIME_WAIT, TcpState.LISTEN)
