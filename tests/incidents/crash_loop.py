"""A service crashes as soon as it is started, and is started again."""

import os
import resource
import signal
from collections.abc import Iterator

from tests.support.incidents import traffic
from tests.support.incidents.stage import Stage, name_process
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    def act() -> Iterator[None]:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        yield
        for _ in traffic.pace(4):
            stage.add()
            if os.fork() == 0:
                name_process("quoted")
                signal.sigtimedwait([], 0.1)
                os.kill(os.getpid(), signal.SIGSEGV)

    stage.actor("runsv", act)


STORY = Story(
    title="quoted ends with SIGSEGV again and again, and runsv starts it again",
    play=play,
    tool="the starter's own count",
    happened=Stage.tally,
    expected=Expected(
        what=r"crash|SIGSEGV|segfault", who="quoted", where="quoted|runsv", belongs="quoted|runsv"
    ),
    least=2,
)
