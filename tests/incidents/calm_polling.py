"""Event loops: waits that time out, reads that would block, as all servers do."""

import select
import socket
from collections.abc import Iterator

from tests.support.incidents import traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Story


def play(stage: Stage) -> None:
    def act() -> Iterator[None]:
        one, _other = socket.socketpair()
        one.setblocking(False)
        poller = select.epoll()
        poller.register(one)
        yield
        for _ in traffic.pace(300):
            try:
                one.recv(100)
            except BlockingIOError:
                stage.add()
            poller.poll(0.001)

    for _ in range(3):
        stage.actor("eventd", act)


STORY = Story(
    title="event loops whose reads would block",
    play=play,
    tool="their own count",
    happened=Stage.tally,
    least=100,
)
