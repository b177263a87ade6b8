"""A server at its limit of open files: accept fails, and callers wait."""

import errno
import socket
from collections.abc import Iterator

from tests.support.incidents import traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story
from tests.support.shortage import files_left


def play(stage: Stage) -> None:
    client = stage.host("client")

    def act() -> Iterator[None]:
        listener = socket.create_server(("0.0.0.0", 8080), backlog=256)
        with files_left(0):
            yield
            for _ in traffic.pace(200):
                try:
                    listener.accept()
                except OSError as refused:
                    if refused.errno == errno.EMFILE:
                        stage.add()

    stage.actor("shopd", act)
    stage.actor("caller", traffic.begins(client.here, 8080, 30), at="client")


STORY = Story(
    title="shopd is at its limit of open files: accept fails with EMFILE",
    play=play,
    tool="the process's own count",
    happened=Stage.tally,
    expected=Expected(
        what=r"EMFILE|(too many|limit of) (open )?files", who="shopd", where="accept|8080",
        belongs="accept|8080|shopd",
    ),
    least=50,
)  # fmt: skip
