"""A busy web server, whose callers close in order."""

from tests.support.incidents import counters, noise
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Story


def play(stage: Stage) -> None:
    noise.web(stage, 200)


STORY = Story(
    title="a busy web server with orderly closes",
    play=play,
    tool="nstat TcpPassiveOpens",
    happened=lambda _: counters.nstat("TcpPassiveOpens"),
    least=50,
    quick=True,
)
