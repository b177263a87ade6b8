"""Somebody's TC program takes long for each packet."""

from tests.support.incidents import counters, programs, traffic
from tests.support.incidents.programs import TCX_INGRESS
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    feed = stage.host("feed")
    stage.actor("collectd", traffic.takes(9000))
    slow = programs.slow(TCX_INGRESS)
    stage.actor("metering", programs.holds("acme_meter", TCX_INGRESS, feed.interface, slow))
    stage.actor("feeder", traffic.sends(feed.here, 9000, 3000), at="feed")


STORY = Story(
    title="the TC program acme_meter takes tens of microseconds a packet",
    play=play,
    tool="nstat UdpInDatagrams, each of which it delays",
    happened=lambda _: counters.nstat("UdpInDatagrams"),
    expected=Expected(
        what=r"acme_meter.*(us|CPU|%|ns)", who="acme_meter|metering", where="eth1|acme_meter",
        belongs="acme_meter|eth1|no device",
    ),
    least=1000,
)  # fmt: skip
