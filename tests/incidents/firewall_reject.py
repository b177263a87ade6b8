"""A firewall refuses a service by RST: to callers it looks as if nobody listened."""

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    client = stage.host("client")
    stage.actor("redis", traffic.serves(6380))
    chain = "type filter hook input priority 0; tcp dport 6380 counter name hit"
    stage.nft("ip", f"{chain} reject with tcp reset;")
    stage.actor("caller", traffic.asks(client.here, 6380, 40), at="client")


STORY = Story(
    title="nft refuses all that comes for port 6380",
    play=play,
    tool="nft counter",
    happened=lambda _: counters.nft(),
    expected=Expected(
        what=r"NETFILTER_DROP|firewall|nft|reject", who="redis", where="6380|eth1",
        belongs="eth1|no device|6380",
    ),
)  # fmt: skip
