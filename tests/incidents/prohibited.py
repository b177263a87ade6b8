"""A route forbids a network: connects there fail at once."""

import socket
from collections.abc import Iterator

from tests.support.incidents import traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story
from tests.support.namespaces import run


def play(stage: Stage) -> None:
    stage.host("lan")
    run("ip", "route", "add", "prohibit", "203.0.113.0/24")

    def act() -> Iterator[None]:
        yield
        for _ in traffic.pace(30):
            with socket.socket() as s:
                if s.connect_ex(("203.0.113.9", 5432)):
                    stage.add()

    stage.actor("syncd", act)


STORY = Story(
    title="a route forbids syncd to reach 203.0.113.9",
    play=play,
    tool="the process's own count",
    happened=Stage.tally,
    expected=Expected(
        what=r"EACCES|prohibit|forbid|not permitted|denied", who="syncd",
        where=r"203\.0\.113\.9", belongs=r"203\.0\.113|connect|syncd",
    ),
)  # fmt: skip
