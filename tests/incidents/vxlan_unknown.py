"""Tunnel packets of a network that nobody here knows: all are dropped."""

import socket
import struct
from collections.abc import Iterator

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story
from tests.support.namespaces import FRAME, run

_KNOWN, _UNKNOWN, _PORT = 42, 4711, 4789


def play(stage: Stage) -> None:
    peer = stage.host("peer")
    run("ip", "link", "add", "vx0", "type", "vxlan", "id", str(_KNOWN), "dev", peer.interface,
        "remote", peer.address, "dstport", str(_PORT))  # fmt: skip
    stage.undo(run, "ip", "link", "del", "vx0")
    stage.sysctl("net/ipv6/conf/vx0/disable_ipv6", 1)
    run("ip", "link", "set", "vx0", "up")
    packet = struct.pack("!II", 0x08000000, _UNKNOWN << 8) + FRAME

    def act() -> Iterator[None]:
        with socket.socket(type=socket.SOCK_DGRAM) as s:
            yield
            for _ in traffic.pace(300):
                s.sendto(packet, (peer.here, _PORT))
                stage.add()

    stage.keep["begun"] = counters.nstat("UdpInDatagrams")
    stage.actor("switch", act, at="peer")


STORY = Story(
    title="packets of a VXLAN that is unknown here",
    play=play,
    tool="sent by the peer, and none of it in ip -s vx0",
    happened=Stage.tally,
    expected=Expected(
        what=r"VXLAN", who=r"vx0|eth1|4711", where=r"4789|eth1|vx0", belongs="eth1|no device"
    ),
    least=100,
)  # fmt: skip
