"""A supervisor starts a program again and again that is not there."""

import os
import signal
from collections.abc import Iterator

from tests.support.incidents import traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story

_PROGRAM = "/opt/acme/bin/acme-worker"


def play(stage: Stage) -> None:
    def act() -> Iterator[None]:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        yield
        for _ in traffic.pace(8):
            if os.fork() == 0:
                try:
                    os.execv(_PROGRAM, [_PROGRAM])
                except FileNotFoundError:
                    stage.add()
                    os._exit(127)

    stage.actor("supervisord", act)


STORY = Story(
    title="supervisord cannot start acme-worker: it is not there",
    play=play,
    tool="the process's own count",
    happened=Stage.tally,
    expected=Expected(
        what=r"ENOENT|cannot (be )?start", who="supervisord", where="acme-worker|execve",
        belongs="supervisord|execve",
    ),
    least=4,
)  # fmt: skip
