"""SYNs from everywhere that are never completed: the request queue of a service is full."""

import random
import socket
import struct
from collections.abc import Iterator

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Host, Stage
from tests.support.incidents.story import Expected, Story
from tests.support.out_of_order import checksum

_SYN = 2


def _segment(to: str, port: int, dice: random.Random) -> bytes:
    ends = bytes([198, 18, dice.randrange(256), dice.randrange(1, 255)]) + socket.inet_aton(to)
    ports = struct.pack("!HH", dice.randrange(1024, 65536), port)
    tcp = ports + struct.pack("!IIBBHHH", dice.randrange(2**32), 0, 5 << 4, _SYN, 1000, 0, 0)
    total = checksum(ends + struct.pack("!HH", 6, len(tcp)) + tcp)
    tcp = tcp[:16] + struct.pack("!H", total) + tcp[18:]
    return struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, 6, 0) + ends + tcp


def _floods(host: Host, port: int, per_second: float) -> traffic.Actor:
    def act() -> Iterator[None]:
        dice = random.Random(1)
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as s:
            yield
            for _ in traffic.pace(per_second / 10):
                for _ in range(10):
                    s.sendto(_segment(host.here, port, dice), (host.here, 0))

    return act


def play(stage: Stage) -> None:
    world = stage.host("world")
    stage.ip("route", "add", "198.18.0.0/16", "via", world.address, "dev", world.interface)
    for scope in ("all", world.interface):
        stage.sysctl(f"net/ipv4/conf/{scope}/rp_filter", 0)
    stage.actor("shopd", traffic.serves(8080, backlog=64))
    stage.actor("flood", _floods(world, 8080, 1000), at="world")


STORY = Story(
    title="a SYN flood: the request queue of port 8080 is full",
    play=play,
    tool="nstat TcpExtTCPReqQFullDoCookies",
    happened=lambda _: counters.nstat("TcpExtTCPReqQFullDoCookies"),
    expected=Expected(
        what=r"SYN.?(flood|cookie)|request queue|ReqQFull", who="shopd", where="8080",
        belongs="eth1|8080|SYN|cookie",
    ),
    least=100,
)  # fmt: skip
