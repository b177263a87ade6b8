"""A firewall drops what comes by IPv6 for a service that IPv4 reaches."""

import time

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story
from tests.support.namespaces import run

_HERE, _THERE = "fd77::1", "fd77::2"


def play(stage: Stage) -> None:
    client = stage.host("client")
    for where, device, address in ((), client.interface, _HERE), (("client",), "eth0", _THERE):
        inside = ("ip", "netns", "exec", *where) if where else ()
        run(*inside, "sysctl", "-qw", f"net.ipv6.conf.{device}.disable_ipv6=0")
        run(*inside, "ip", "addr", "add", f"{address}/64", "dev", device, "nodad")
    time.sleep(0.2)  # until its link-local address stands
    stage.actor("shopd", traffic.serves(8443, host="::"))
    stage.nft("ip6", "type filter hook input priority 0; tcp dport 8443 counter name hit drop;")
    stage.actor("caller", traffic.begins(_HERE, 8443, 40), at="client")
    stage.actor("other", traffic.asks(client.here, 8443, 40), at="client")


STORY = Story(
    title="nft drops what comes by IPv6 for port 8443",
    play=play,
    tool="nft counter",
    happened=lambda _: counters.nft("ip6"),
    expected=Expected(
        what=r"NETFILTER_DROP|firewall|nft", who="shopd", where="8443|eth1",
        belongs="eth1|no device|8443",
    ),
)  # fmt: skip
