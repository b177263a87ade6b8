"""A process at its limit of open files: each open fails with EMFILE."""

import errno
import os
from collections.abc import Iterator

from tests.support.incidents import traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story
from tests.support.shortage import files_left


def play(stage: Stage) -> None:
    def act() -> Iterator[None]:
        with files_left(0):
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
