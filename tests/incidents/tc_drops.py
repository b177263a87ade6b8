"""Somebody's TC program drops a third of what comes in."""

from tests.support.incidents import counters, programs, traffic
from tests.support.incidents.programs import TCX_INGRESS
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    feed = stage.host("feed")
    stage.actor("collectd", traffic.takes(9000))
    dropping = programs.dropping(TCX_INGRESS, 0.33)
    stage.actor("policed", programs.holds("acme_police", TCX_INGRESS, feed.interface, dropping))
    stage.keep["begun"] = counters.nstat("UdpInDatagrams")
    stage.actor("feeder", traffic.sends(feed.here, 9000, 1000, sent=stage.add), at="feed")


def _missing(stage: Stage) -> float:
    """What was sent, of which nothing arrived."""
    return stage.tally() - counters.nstat("UdpInDatagrams") + stage.keep["begun"]


STORY = Story(
    title="a TC program drops a third of what comes by eth1",
    play=play,
    tool="sent, less nstat UdpInDatagrams",
    happened=_missing,
    expected=Expected(
        what="TC", who=r"acme_police|policed", where="eth1", belongs="eth1|no device"
    ),
    least=200,
    quick=True,
)
