"""A disk that takes its time: each fsync of a database waits for it."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.incidents import traffic
from tests.support.incidents.cgroup import throttled
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    folder = tempfile.TemporaryDirectory()
    stage.undo(folder.cleanup)
    group = throttled(stage, Path(folder.name), 1 << 20)

    def act() -> Iterator[None]:
        (group / "cgroup.procs").write_text("0")
        fd = os.open(f"{folder.name}/wal", os.O_CREAT | os.O_WRONLY)
        yield
        for _ in traffic.pace(20):
            os.pwrite(fd, b"x" * (256 << 10), 0)
            os.fsync(fd)
            stage.add()

    stage.actor("postgres", act)


STORY = Story(
    title="each fsync of postgres takes a quarter of a second",
    play=play,
    tool="its own count of syncs, of 20 a second",
    happened=lambda stage: float(0 < stage.tally() < 20),
    expected=Expected(
        what="fsync", who="postgres", where="fsync", share=r"\dms|\ds\b|\dx",
        belongs="fsync|postgres",
    ),
    least=1,
)  # fmt: skip
