"""A service at its limit of processes: it cannot fork any more."""

import os
import resource
import signal
from collections.abc import Iterator

from tests.support.incidents import traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story

_USER = 64001


def play(stage: Stage) -> None:
    def act() -> Iterator[None]:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        yield
        for _ in traffic.pace(100):
            try:
                if os.fork() == 0:
                    os._exit(0)
            except BlockingIOError:
                stage.add()

    stage.actor("workerd", act, uid=_USER)


STORY = Story(
    title="workerd is at its limit of processes: clone fails with EAGAIN",
    play=play,
    tool="the process's own count",
    happened=Stage.tally,
    expected=Expected(
        what=r"EAGAIN|limit of processes|(cannot|fails to) fork", who="workerd", where="clone|fork",
        belongs="clone|workerd",
    ),
    least=50,
)  # fmt: skip
