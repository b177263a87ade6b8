"""A process has less memory than it works with: it waits for some, most of the time."""

import os
import tempfile
from collections.abc import Iterator

from tests.support.incidents import cgroup, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story

_MEMORY, _FILE, _BLOCK = 8 << 20, 32, 1 << 20
_FOLDER = "/var/tmp"  # on a disk: what is on a tmpfs cannot be given back


def play(stage: Stage) -> None:
    groups = cgroup.short_of_memory(stage, _MEMORY)

    def works() -> Iterator[None]:
        for group in groups:
            (group / "cgroup.procs").write_text("0")
        with tempfile.TemporaryFile(dir=_FOLDER, buffering=0) as file:
            block = os.urandom(_BLOCK)
            yield
            for turn, _ in enumerate(traffic.pace(200)):
                os.pwrite(file.fileno(), block, turn % _FILE * _BLOCK)

    for _ in range(3):
        stage.actor("indexer", works)


STORY = Story(
    title="indexer works with twice the memory that its cgroup may have",
    play=play,
    tool="memory.pressure of the cgroup, in milliseconds",
    happened=lambda _: cgroup.waited_ms(),
    expected=Expected(
        what="memory", who="indexer", where="ebpftop-incident", belongs="memory|write|cgroup"
    ),
    least=100,
)
