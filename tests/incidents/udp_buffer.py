"""A daemon that is too slow for its datagrams: its receive buffer is full."""

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    feed = stage.host("feed")
    stage.actor("statsd", traffic.takes(8125, per_second=100, room=8192))
    stage.actor("feeder", traffic.sends(feed.here, 8125, 1500), at="feed")


STORY = Story(
    title="statsd is too slow: its UDP buffer is full",
    play=play,
    tool="nstat UdpRcvbufErrors",
    happened=lambda _: counters.nstat("UdpRcvbufErrors"),
    expected=Expected(
        what=r"SOCKET_RCVBUFF|(receive|socket) buffer", who="statsd", where="8125",
        belongs="eth1|no device|8125|UDP",
    ),
    least=200,
    quick=True,
)  # fmt: skip
