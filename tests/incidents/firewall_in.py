"""A firewall drops every packet that comes for a service: callers hang, the server sees nothing."""

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    client = stage.host("client")
    stage.actor("shopd", traffic.serves(8080))
    stage.nft("ip", "type filter hook input priority 0; tcp dport 8080 counter name hit drop;")
    stage.actor("caller", traffic.begins(client.here, 8080, 40), at="client")


STORY = Story(
    title="nft drops all that comes for port 8080",
    play=play,
    tool="nft counter",
    happened=lambda _: counters.nft(),
    expected=Expected(
        what=r"NETFILTER_DROP|firewall|nft",
        who=r"shopd",
        where=r"8080|eth1",
        belongs="eth1|no device|8080",
    ),
    quick=True,
)
