"""A server in another namespace accepts nobody: connects from here to it hang."""

import signal
import socket
from collections.abc import Iterator

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def _stuck() -> Iterator[None]:
    with socket.create_server(("0.0.0.0", 9097), backlog=4):
        yield
        signal.pause()


def play(stage: Stage) -> None:
    backend = stage.host("backend")
    stage.actor("stuckd", _stuck, at="backend")
    stage.actor("caller", traffic.begins(backend.address, 9097, 50))


STORY = Story(
    title="in another namespace stuckd accepts nobody at port 9097",
    play=play,
    tool="nstat TcpExtListenOverflows there",
    happened=lambda _: counters.nstat("TcpExtListenOverflows", at="backend"),
    expected=Expected(
        what=r"accept queue|no answer", who="caller|stuckd", where="9097",
        belongs="9097|eth1|no device|LISTEN|netns",
    ),
)  # fmt: skip
