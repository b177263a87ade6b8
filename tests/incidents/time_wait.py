"""There are as many sockets in TIME_WAIT as may be: connections close without it."""

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    backend = stage.host("backend")
    stage.sysctl("net/ipv4/tcp_max_tw_buckets", 32)
    stage.actor("cached", traffic.serves(11211), at="backend")
    stage.actor("apid", traffic.asks(backend.address, 11211, 80))


STORY = Story(
    title="apid closes more connections to 10.77.1.2 than TIME_WAIT sockets may be",
    play=play,
    tool="nstat TcpExtTCPTimeWaitOverflow",
    happened=lambda _: counters.nstat("TcpExtTCPTimeWaitOverflow"),
    expected=Expected(
        what=r"TIME.?WAIT|tw_buckets", who="apid", where=r"11211|10\.77\.1\.2",
        belongs="11211|TIME_WAIT",
    ),
)  # fmt: skip
