"""A server that is down: its host refuses each connect of a process."""

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    cache = stage.host("cache")
    stage.actor("poller", traffic.asks(cache.address, 6379, 20))


STORY = Story(
    title="nobody listens at port 6379 of another host: poller is refused",
    play=play,
    tool="nstat TcpAttemptFails",
    happened=lambda _: counters.nstat("TcpAttemptFails"),
    expected=Expected(
        what="refused", who="poller", where="6379", belongs="6379|connect |ECONNREFUSED"
    ),
    quick=True,
)
