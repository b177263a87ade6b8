"""One of four workers that share a port accepts nobody: a quarter of the callers hang."""

import signal
import socket
from collections.abc import Iterator

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story

_PORT = 8090


def _listener() -> socket.socket:
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(("0.0.0.0", _PORT))
    s.listen(8)
    return s


def _works() -> Iterator[None]:
    with _listener() as listener:
        yield
        while True:
            listener.accept()[0].close()


def _hangs() -> Iterator[None]:
    with _listener():
        yield
        signal.pause()


def play(stage: Stage) -> None:
    client = stage.host("client")
    for _ in range(3):
        stage.actor("worker", _works)
    stage.actor("worker", _hangs)
    stage.actor("caller", traffic.begins(client.here, _PORT, 60), at="client")


STORY = Story(
    title="one of the four workers at port 8090 is stuck",
    play=play,
    tool="nstat TcpExtListenOverflows",
    happened=lambda _: counters.nstat("TcpExtListenOverflows"),
    expected=Expected(
        what=r"accept queue", who=r"worker\[\d+\]", where=r"8090.* 1 (in|of) 4|1 (in|of) 4.*8090",
        belongs="8090|eth1|no device|LISTEN",
    ),
)  # fmt: skip
