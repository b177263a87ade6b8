"""Only the first fragment of each datagram arrives: none is ever complete."""

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    feed = stage.host("feed")
    stage.sysctl("net/ipv4/ipfrag_time", 1)
    stage.nft("netdev", "type filter hook egress device eth0 priority 0; "
              "ip frag-off & 0x1fff != 0 counter name hit drop;", at="feed")  # fmt: skip
    stage.actor("nfsd", traffic.takes(2049))
    stage.actor("writer", traffic.sends(feed.here, 2049, 100, size=4000), at="feed")


STORY = Story(
    title="fragments of datagrams are lost on the way to eth1",
    play=play,
    tool="nstat IpReasmFails",
    happened=lambda _: counters.nstat("IpReasmFails"),
    expected=Expected(
        what=r"fragment|reassembl", where=r"eth1|this host", belongs="fragment|REASM|eth1|no device"
    ),
)  # fmt: skip
