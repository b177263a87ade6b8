"""Packets that come by the wrong interface, by this host's routes: dropped unseen."""

import socket
from collections.abc import Iterator

from tests.support.drop_causes import ipv4, udp
from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Host, Stage
from tests.support.incidents.story import Expected, Story


def _sends(host: Host, source: str, per_second: float) -> traffic.Actor:
    """Datagrams of another's address."""
    packet = ipv4(host.here, udp(9000), source=source)[2:]

    def act() -> Iterator[None]:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as s:
            yield
            for _ in traffic.pace(per_second):
                s.sendto(packet, (host.here, 0))

    return act


def play(stage: Stage) -> None:
    east, west = stage.host("east"), stage.host("west")
    stage.ip("route", "add", "198.18.7.0/24", "via", west.address, "dev", west.interface)
    stage.sysctl(f"net/ipv4/conf/{east.interface}/rp_filter", 1)
    stage.actor("collectd", traffic.takes(9000))
    stage.actor("feeder", _sends(east, "198.18.7.9", 300), at="east")


STORY = Story(
    title="the reverse path filter of eth1 drops all from 198.18.7.9",
    play=play,
    tool="nstat TcpExtIPReversePathFilter",
    happened=lambda _: counters.nstat("TcpExtIPReversePathFilter"),
    expected=Expected(
        what=r"IP_RPFILTER|reverse path|rp_filter", who=r"eth1|198\.18\.7", where="eth1",
        belongs="eth1|no device",
    ),
    least=100,
)  # fmt: skip
