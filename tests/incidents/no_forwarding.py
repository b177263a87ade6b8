"""A router that does not forward: what comes for others is dropped."""

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story
from tests.support.namespaces import run


def play(stage: Stage) -> None:
    left, right = stage.host("left"), stage.host("right")
    run("ip", "-n", "left", "route", "add", "default", "via", left.here)
    stage.sysctl("net/ipv4/ip_forward", 0)
    stage.keep["begun"] = counters.nstat("IpInAddrErrors")
    stage.actor("client", traffic.sends(right.address, 9000, 300), at="left")


STORY = Story(
    title="this host does not forward what comes by eth1",
    play=play,
    tool="nstat IpInAddrErrors",
    happened=lambda stage: counters.nstat("IpInAddrErrors") - stage.keep["begun"],
    expected=Expected(
        what=r"forward", where="eth1", belongs=r"eth1|9000|no device|IP_INADDRERRORS|bad address"
    ),
    least=100,
)
