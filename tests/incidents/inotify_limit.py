"""A user may have no more inotify instances: a service cannot watch its files."""

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

from tests.support.incidents import traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story

_USER = 64007
_MOST = Path("/proc/sys/fs/inotify/max_user_instances")


def play(stage: Stage) -> None:
    libc = ctypes.CDLL(None, use_errno=True)

    def act() -> Iterator[None]:
        held = 0
        while libc.inotify_init1(os.O_CLOEXEC) >= 0 and held <= int(_MOST.read_text()):
            held += 1
        yield
        for _ in traffic.pace(30):
            if libc.inotify_init1(os.O_CLOEXEC) < 0:
                stage.add()

    stage.actor("watchd", act, uid=_USER)


STORY = Story(
    title="watchd may have no more inotify instances",
    play=play,
    tool="the process's own count",
    happened=Stage.tally,
    expected=Expected(
        what=r"EMFILE|inotify", who="watchd", where="inotify", belongs="inotify|watchd"
    ),
    least=10,
)
