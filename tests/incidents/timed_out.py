"""A host that is down: connects to it end after their time."""

from tests.support.incidents import counters, relay, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    relay.hole(stage)
    stage.sysctl("net/ipv4/tcp_syn_retries", 1)
    for _ in range(40):
        stage.actor("probe", traffic.asks("198.51.100.9", 8080, 5, timeout=20))
    stage.keep["begun"] = counters.nstat("TcpAttemptFails")


STORY = Story(
    title="the connects of probe to 198.51.100.9 time out",
    play=play,
    tool="nstat TcpAttemptFails, or those in SYN-SENT",
    happened=lambda stage: max(
        counters.nstat("TcpAttemptFails") - stage.keep["begun"],
        counters.sockets("state", "syn-sent"),
    ),
    expected=Expected(
        what=r"timed out|ETIMEDOUT|pending|no answer", who="probe", where=r"198\.51\.100\.9",
        belongs=r"198\.51|connect |wan0",
    ),
)  # fmt: skip
