"""A firewall drops the datagrams that a process sends: nobody answers them, and nothing fails."""

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    statsd = stage.host("statsd")
    stage.actor("statsd", traffic.takes(8125), at="statsd")
    stage.nft("ip", "type filter hook output priority 0; udp dport 8125 counter name hit drop;")
    stage.actor("checkout", traffic.sends(statsd.address, 8125, 100))


STORY = Story(
    title="nft drops the datagrams that checkout sends to port 8125",
    play=play,
    tool="nft counter",
    happened=lambda _: counters.nft(),
    expected=Expected(
        what=r"NETFILTER_DROP|firewall|nft",
        who="checkout",
        where="8125",
        belongs="8125|eth1|no device|EPERM",
    ),
)
