"""A queue is shaped to less than what is sent: it drops the rest."""

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story
from tests.support.namespaces import run


def play(stage: Stage) -> None:
    sink = stage.host("sink")
    run("tc", "qdisc", "add", "dev", sink.interface, "root", "tbf", "rate", "1mbit",
        "burst", "4k", "limit", "8k")  # fmt: skip
    stage.actor("collectd", traffic.takes(9000), at="sink")
    stage.actor("exporter", traffic.sends(sink.address, 9000, 500, size=1000))


STORY = Story(
    title="the queue of eth1 is shaped to a quarter of what exporter sends",
    play=play,
    tool="tc -s qdisc",
    happened=lambda _: counters.qdisc("eth1"),
    expected=Expected(
        what=r"QDISC|queue|tbf", who="exporter", where="eth1", belongs="eth1|no device|ENOBUFS"
    ),
    least=100,
)
