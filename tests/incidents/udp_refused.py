"""A collector on another host has ended: each datagram of a connected socket is answered so."""

import socket
from collections.abc import Iterator

from tests.support.incidents import traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    collector = stage.host("collector")

    def act() -> Iterator[None]:
        with socket.socket(type=socket.SOCK_DGRAM) as s:
            s.connect((collector.address, 8125))
            yield
            for _ in traffic.pace(100):
                try:
                    s.send(b"x" * 100)
                except ConnectionRefusedError:
                    stage.add()

    stage.actor("metricsd", act)


STORY = Story(
    title="nobody takes the datagrams of metricsd",
    play=play,
    tool="the process's own count",
    happened=Stage.tally,
    expected=Expected(
        what=r"ECONNREFUSED|refused|nothing listens|NO_SOCKET", who="metricsd|8125",
        where=r"send|8125", belongs="sendto|metricsd|8125",
    ),
    least=5,
)  # fmt: skip
