"""A process at its limit of open files: each open fails with EMFILE."""

import errno
import os
import resource
from collections.abc import Iterator

from tests.support.incidents import traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    def act() -> Iterator[None]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        while True:
            try:
                os.dup(1)
            except OSError:
                break
        yield
        for _ in traffic.pace(1500):
            try:
                os.open("/etc/hostname", os.O_RDONLY)
            except OSError as refused:
                if refused.errno == errno.EMFILE:
                    stage.add()

    stage.actor("leakyd", act)


STORY = Story(
    title="leakyd is at its limit of open files: openat fails with EMFILE",
    play=play,
    tool="the process's own count",
    happened=Stage.tally,
    expected=Expected(
        what=r"EMFILE|(too many|limit of) (open )?files", who="leakyd", where="openat",
        belongs="openat|leakyd",
    ),
    least=300,
    quick=True,
)  # fmt: skip
