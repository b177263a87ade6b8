"""A file system has room, and no inode left: no file can be made."""

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
    run("mount", "-t", "tmpfs", "-o", "size=10m,nr_inodes=50", "tmpfs", folder.name)
    stage.undo(run, "umount", folder.name)

    def act() -> Iterator[None]:
        yield
        for number, _ in enumerate(traffic.pace(60)):
            try:
                os.close(os.open(f"{folder.name}/{number}", os.O_CREAT | os.O_WRONLY, 0o600))
            except OSError:
                stage.add()

    stage.actor("maild", act)


STORY = Story(
    title="maild finds no inode left in its spool",
    play=play,
    tool="the process's own count",
    happened=Stage.tally,
    expected=Expected(what=r"ENOSPC|inode", who="maild", where="openat", belongs="openat|maild"),
)
