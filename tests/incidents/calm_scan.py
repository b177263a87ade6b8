"""Somebody scans the closed ports of this host; nobody here is harmed."""

from tests.support.incidents import counters, noise
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Story


def play(stage: Stage) -> None:
    noise.scan(stage, 150)


STORY = Story(
    title="a port scan of closed ports",
    play=play,
    tool="nstat TcpOutRsts",
    happened=lambda _: counters.nstat("TcpOutRsts"),
    least=50,
    quick=True,
)
