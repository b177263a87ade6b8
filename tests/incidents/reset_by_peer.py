"""A backend resets each connection that it has accepted."""

import socket
import struct
from collections.abc import Iterator

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def _resets() -> Iterator[None]:
    with socket.create_server(("0.0.0.0", 8081), backlog=128) as listener:
        yield
        while True:
            one = listener.accept()[0]
            one.recv(100)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
            one.close()


def play(stage: Stage) -> None:
    backend = stage.host("backend")
    stage.actor("backend", _resets, at="backend")
    stage.actor("proxyd", traffic.asks(backend.address, 8081, 50))


STORY = Story(
    title="a backend resets each connection of proxyd",
    play=play,
    tool="nstat TcpEstabResets",
    happened=lambda _: counters.nstat("TcpEstabResets"),
    expected=Expected(
        what=r"ECONNRESET|reset", who="proxyd", where=r"8081|recvfrom",
        belongs=r"8081|recvfrom|proxyd",
    ),
)  # fmt: skip
