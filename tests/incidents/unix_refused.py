"""A backend has left its Unix socket behind: each connect to it is refused."""

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.incidents import traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    folder = tempfile.TemporaryDirectory()
    stage.undo(folder.cleanup)
    path = str(Path(folder.name, "backend.sock"))
    with socket.socket(socket.AF_UNIX) as ended:
        ended.bind(path)
        ended.listen()

    def act() -> Iterator[None]:
        yield
        for _ in traffic.pace(60):
            with socket.socket(socket.AF_UNIX) as s:
                try:
                    s.connect(path)
                except ConnectionRefusedError:
                    stage.add()

    stage.actor("gatewayd", act)


STORY = Story(
    title="nobody listens at the Unix socket that gatewayd connects to",
    play=play,
    tool="the process's own count",
    happened=Stage.tally,
    expected=Expected(
        what=r"ECONNREFUSED|refused", who="gatewayd", where="connect", belongs="gatewayd|connect "
    ),
)
