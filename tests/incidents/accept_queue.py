"""A server that has stopped accepting: its queue is full, and callers are dropped."""

import signal
import socket
from collections.abc import Iterator

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def _stuck() -> Iterator[None]:
    with socket.create_server(("0.0.0.0", 9090), backlog=4):
        yield
        signal.pause()


def play(stage: Stage) -> None:
    client = stage.host("client")
    stage.actor("stuckd", _stuck)
    stage.actor("caller", traffic.begins(client.here, 9090, 50), at="client")


STORY = Story(
    title="stuckd accepts nobody: the accept queue of port 9090 is full",
    play=play,
    tool="nstat TcpExtListenOverflows",
    happened=lambda _: counters.nstat("TcpExtListenOverflows"),
    expected=Expected(
        what=r"accept queue|listen.?(overflow|drop)|queue (is )?full", who="stuckd", where="9090",
        belongs="9090|eth1|no device|LISTEN",
    ),
    quick=True,
)  # fmt: skip
