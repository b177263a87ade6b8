"""A server that accepts too slowly: callers wait in its queue, which is not yet full."""

import socket
import time
from collections.abc import Iterator

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def _slow() -> Iterator[None]:
    with socket.create_server(("0.0.0.0", 9091), backlog=128) as listener:
        yield
        while True:
            time.sleep(0.2)
            listener.accept()[0].close()


def play(stage: Stage) -> None:
    client = stage.host("client")
    stage.actor("reportd", _slow)
    stage.actor("caller", traffic.begins(client.here, 9091, 30, most=100), at="client")


STORY = Story(
    title="reportd accepts slowly: its accept queue stands",
    play=play,
    tool="ss Recv-Q of the listener",
    happened=lambda _: counters.waiting(9091),
    expected=Expected(
        what=r"accept queue|wait(ing)? to be accepted", who="reportd", where="9091",
        share=r"\d ?%|\d+ of \d+", belongs="9091|eth1|no device",
    ),
    least=15,
)  # fmt: skip
