"""A service is started again and again: another one has its port."""

import errno
import socket
from collections.abc import Iterator

from tests.support.incidents import traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    stage.actor("nginx", traffic.serves(8080))

    def act() -> Iterator[None]:
        yield
        for _ in traffic.pace(20):
            with socket.socket() as s:
                try:
                    s.bind(("0.0.0.0", 8080))
                except OSError as taken:
                    if taken.errno == errno.EADDRINUSE:
                        stage.add()

    stage.actor("apache2", act)


STORY = Story(
    title="apache2 does not get its port, which nginx has",
    play=play,
    tool="the process's own count",
    happened=Stage.tally,
    expected=Expected(
        what=r"EADDRINUSE|in use|taken", who="apache2", where=r"bind|8080", belongs=r"bind|apache2"
    ),
)
