"""A process hammers closed ports of this host, one after the other."""

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    stage.host("lan")
    for port in range(7001, 7006):
        stage.actor("restarter", traffic.asks("127.0.0.1", port, 60))


STORY = Story(
    title="restarter hammers closed ports of this host",
    play=play,
    tool="nstat TcpAttemptFails",
    happened=lambda _: counters.nstat("TcpAttemptFails"),
    expected=Expected(
        what="refused", who="restarter", where=r"127\.0\.0\.1|700[1-5]",
        belongs=r"700[1-5]|connect |ECONNREFUSED|restarter|\blo\b",
    ),
    least=100,
)  # fmt: skip
