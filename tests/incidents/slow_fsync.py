"""A disk that takes its time: each fsync of a database waits for it."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.incidents import traffic
from tests.support.incidents.cgroup import throttled
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story

_WANTED = 20


def play(stage: Stage) -> None:
    folder = tempfile.TemporaryDirectory()
    stage.undo(folder.cleanup)
    group = throttled(stage, Path(folder.name), 1 << 20)

    def act() -> Iterator[None]:
        (group / "cgroup.procs").write_text("0")
        fd = os.open(f"{folder.name}/wal", os.O_CREAT | os.O_WRONLY)
        yield
        for _ in traffic.pace(_WANTED):
            os.pwrite(fd, b"x" * (256 << 10), 0)
            os.fsync(fd)
            stage.add()

    stage.actor("postgres", act)
    stage.keep["begun"] = time.monotonic()


def _missing(stage: Stage) -> float:
    """Syncs that were wanted, and did not come to their end."""
    return _WANTED * (time.monotonic() - stage.keep["begun"]) - stage.tally()


STORY = Story(
    title="each fsync of postgres takes a quarter of a second",
    play=play,
    tool="its own count of syncs, of 20 a second",
    happened=_missing,
    expected=Expected(
        what="fsync", who="postgres", where="fsync", share=r"\dms|\ds\b|\dx",
        belongs="fsync|postgres",
    ),
    least=8,
)  # fmt: skip
