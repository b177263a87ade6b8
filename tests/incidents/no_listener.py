"""A daemon has ended: what others send to its port is dropped."""

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    feed = stage.host("feed")
    stage.actor("feeder", traffic.sends(feed.here, 8125, 300), at="feed")


STORY = Story(
    title="nobody listens any more at UDP port 8125",
    play=play,
    tool="nstat UdpNoPorts",
    happened=lambda _: counters.nstat("UdpNoPorts"),
    expected=Expected(
        what=r"NO_SOCKET|no (socket|listener)|nothing listens", who=r"8125", where="eth1|8125",
        belongs="eth1|no device|UDP",
    ),
    least=50,
)  # fmt: skip
