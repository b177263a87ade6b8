"""A process that hangs and reads nothing any more: its receive window is closed."""

import signal
import socket
from collections.abc import Iterator

from tests.support.incidents import counters
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story

_PORT = 9514


def _hangs() -> Iterator[None]:
    with socket.create_server(("0.0.0.0", _PORT)) as listener:
        yield
        taken, _ = listener.accept()
        taken.recv(1000)
        signal.pause()


def _sends(to: str) -> Iterator[None]:
    yield
    with socket.create_connection((to, _PORT), 5) as s:
        s.settimeout(None)
        while True:
            s.sendall(b"x" * 65536)


def play(stage: Stage) -> None:
    sender = stage.host("sender")
    stage.actor("collectord", _hangs)
    stage.actor("shipper", lambda: _sends(sender.here), at="sender")


STORY = Story(
    title="collectord hangs: it does not read what arrives for port 9514",
    play=play,
    tool="nstat TcpExtTCPToZeroWindowAdv, TCPWantZeroWindowAdv",
    happened=lambda _: counters.nstat("TcpExtTCPToZeroWindowAdv", "TcpExtTCPWantZeroWindowAdv"),
    expected=Expected(
        what=r"(does not|not) read|(receive|zero) window|receive queue", who="collectord",
        where="9514", belongs="9514|collectord",
    ),
    least=1,
)  # fmt: skip
