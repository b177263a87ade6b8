"""A route is missing: a process cannot reach its peer's network."""

import errno
import socket
from collections.abc import Iterator

from tests.support.incidents import traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    stage.host("lan")

    def act() -> Iterator[None]:
        yield
        for _ in traffic.pace(30):
            with socket.socket() as s:
                if s.connect_ex(("203.0.113.9", 443)) == errno.ENETUNREACH:
                    stage.add()

    stage.actor("syncd", act)


STORY = Story(
    title="syncd has no route to 203.0.113.9",
    play=play,
    tool="the process's own count",
    happened=Stage.tally,
    expected=Expected(
        what=r"unreachable|ENETUNREACH|no route", who="syncd", where=r"203\.0\.113\.9",
        # Also what the kernel's counter tells before connects are read: it knows no process.
        belongs=r"203\.0\.113|connect |syncd|no route",
    ),
)  # fmt: skip
