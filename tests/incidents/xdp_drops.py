"""Somebody's XDP program drops half of what comes in."""

from tests.support.incidents import counters, programs, traffic
from tests.support.incidents.programs import XDP
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    feed = stage.host("feed")
    stage.actor("collectd", traffic.takes(9000))
    dropping = programs.dropping(XDP, 0.5)
    stage.actor("filterd", programs.holds("acme_filter", XDP, feed.interface, dropping))
    stage.keep["begun"] = counters.nstat("UdpInDatagrams")
    stage.actor("feeder", traffic.sends(feed.here, 9000, 1000, sent=stage.add), at="feed")


def _missing(stage: Stage) -> float:
    """What was sent, of which nothing arrived."""
    return stage.tally() - counters.nstat("UdpInDatagrams") + stage.keep["begun"]


STORY = Story(
    title="an XDP program drops half of what comes by eth1",
    play=play,
    tool="sent, less nstat UdpInDatagrams",
    happened=_missing,
    expected=Expected(
        what="XDP", who=r"acme_filter|filterd", where="eth1", belongs="eth1|no device"
    ),
    least=200,
    quick=True,
)
