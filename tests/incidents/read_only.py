"""A file system that has become read-only: a daemon can keep nothing any more."""

import errno
import os
import tempfile
from collections.abc import Iterator

from tests.support.incidents import traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story
from tests.support.namespaces import run


def play(stage: Stage) -> None:
    folder = tempfile.TemporaryDirectory()
    stage.undo(folder.cleanup)
    run("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder.name)
    stage.undo(run, "umount", folder.name)

    def act() -> Iterator[None]:
        yield
        for _ in traffic.pace(50):
            try:
                os.close(os.open(f"{folder.name}/journal", os.O_CREAT | os.O_WRONLY))
            except OSError as refused:
                if refused.errno == errno.EROFS:
                    stage.add()

    stage.actor("journald", act)


STORY = Story(
    title="the file system of journald is read-only",
    play=play,
    tool="the process's own count",
    happened=Stage.tally,
    expected=Expected(
        what=r"EROFS|read.only", who="journald", where="openat", belongs="openat|journald"
    ),
    least=10,
)
