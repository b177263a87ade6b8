"""A broken card beside: the checksums of what it sends are wrong."""

import socket
from collections.abc import Iterator

from tests.support.drop_causes import ipv4, udp
from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    feed = stage.host("feed")
    packet = ipv4(feed.here, udp(9000, check=0x1234), source=feed.address)[2:]

    def act() -> Iterator[None]:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as s:
            yield
            for _ in traffic.pace(200):
                s.sendto(packet, (feed.here, 0))

    stage.actor("collectd", traffic.takes(9000))
    stage.actor("feeder", act, at="feed")


STORY = Story(
    title="the checksums of what comes by eth1 are wrong",
    play=play,
    tool="nstat UdpInCsumErrors",
    happened=lambda _: counters.nstat("UdpInCsumErrors"),
    expected=Expected(
        what=r"CSUM|checksum", who=r"collectd|eth1|10\.77\.1\.2", where="eth1|9000",
        belongs="eth1|no device|UDP",
    ),
    least=50,
)  # fmt: skip
