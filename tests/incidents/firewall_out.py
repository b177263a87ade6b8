"""A firewall drops what a process sends to its database: its connects hang."""

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    database = stage.host("database")
    stage.actor("postgres", traffic.serves(5432), at="database")
    stage.nft("ip", "type filter hook output priority 0; tcp dport 5432 counter name hit drop;")
    stage.actor("billing", traffic.begins(database.address, 5432, 30))


STORY = Story(
    title="nft drops all that goes to port 5432",
    play=play,
    tool="nft counter",
    happened=lambda _: counters.nft(),
    expected=Expected(
        what=r"NETFILTER_DROP|firewall|nft",
        who="billing",
        where="5432",
        belongs="5432|eth1|no device|EPERM",
    ),
    quick=True,
)
