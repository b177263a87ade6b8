"""A peer that reads nothing any more: what a process here sends to it waits."""

import signal
import socket
from collections.abc import Iterator

from tests.support.incidents import counters
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story

_PORT = 9200


def _hangs() -> Iterator[None]:
    with socket.create_server(("0.0.0.0", _PORT)) as listener:
        yield
        held = []
        while True:
            held.append(listener.accept()[0])
            if len(held) == 3:
                signal.pause()


def _sends(to: str) -> Iterator[None]:
    sockets = [socket.create_connection((to, _PORT), 5) for _ in range(3)]
    yield
    for s in sockets:
        s.setblocking(False)
    while True:
        for s in sockets:
            try:
                s.send(b"x" * 65536)
            except BlockingIOError:
                signal.sigtimedwait([], 0.05)


def play(stage: Stage) -> None:
    store = stage.host("store")
    stage.actor("storage", _hangs, at="store")
    stage.actor("indexer", lambda: _sends(store.address))


STORY = Story(
    title="the store does not read: what indexer sends to it waits",
    play=play,
    tool="nstat TcpExtTCPWinProbe",
    happened=lambda _: counters.nstat("TcpExtTCPWinProbe"),
    expected=Expected(
        what=r"(does not|not) read|(receive|zero) window", who="indexer",
        where=r"9200|10\.77\.1\.2", belongs="9200|indexer",
    ),
    least=1,
)  # fmt: skip
