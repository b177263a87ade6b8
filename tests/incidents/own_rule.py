"""A drop rule of ebpftop's own: what is missing is told with the rule that drops it."""

from tests.support.incidents import traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    feed = stage.host("feed")
    stage.actor("collectd", traffic.takes(9000))
    stage.actor("feeder", traffic.sends(feed.here, 9000, 500, sent=stage.add), at="feed")


STORY = Story(
    title="a drop rule of ebpftop drops what comes for port 9000",
    play=play,
    tool="sent by the feeder, which the rule is for",
    happened=Stage.tally,
    expected=Expected(
        what=r"\brule\b|ebpftop|dropping",
        who=r"9000|rule",
        where="eth1",
        belongs="eth1|no device|9000",
    ),
    least=200,
    arguments=("--drop", "eth1: udp dport 9000 ttl 5m", "--drop-anyway"),
)
