"""A full file system: a daemon's writes fail."""

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
    run("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder.name)
    stage.undo(run, "umount", folder.name)

    def act() -> Iterator[None]:
        fd = os.open(f"{folder.name}/log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        yield
        for _ in traffic.pace(200):
            try:
                os.write(fd, b"x" * 8192)
            except OSError as full:
                if full.errno == errno.ENOSPC:
                    stage.add()

    stage.actor("logd", act)


STORY = Story(
    title="the file system of logd is full",
    play=play,
    tool="the process's own count",
    happened=Stage.tally,
    expected=Expected(
        what=r"ENOSPC|no space|(disk|file system) (is )?full", who="logd", where=r"\bwrite|log",
        belongs=r"\bwrite\b|logd",
    ),
    least=50,
)  # fmt: skip
