"""A database: small transactions, each synced, over connections that stay."""

import os
import tempfile
from collections.abc import Iterator

from tests.support.incidents import traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Story


def play(stage: Stage) -> None:
    app = stage.host("app")
    folder = tempfile.TemporaryDirectory()
    stage.undo(folder.cleanup)

    def log() -> Iterator[None]:
        fd = os.open(f"{folder.name}/wal", os.O_CREAT | os.O_WRONLY)
        yield
        for _ in traffic.pace(20):
            os.pwrite(fd, b"x" * 4096, 0)
            os.fdatasync(fd)
            stage.add()

    stage.actor("postgres", traffic.serves(5432))
    stage.actor("walwriter", log)
    for _ in range(4):
        stage.actor("app", traffic.talks(app.here, 5432, 40), at="app")


STORY = Story(
    title="a database that is used",
    play=play,
    tool="its own count of syncs",
    happened=Stage.tally,
    least=5,
)
