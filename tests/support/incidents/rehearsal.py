"""A story without an audience: `python -m tests.support.incidents.rehearsal NAME`, in namespaces of
its own. Plays it for a second or so and says what the independent tool counted; exit status 3 and
the reason where this host lacks what it needs."""

from __future__ import annotations

import sys
import time

from tests.support.incidents.stage import CannotBePlayed, Stage
from tests.support.incidents.story import stories

SECONDS, PATIENCE = 1.0, 6.0
CANNOT = 3


def counted(name: str) -> float:
    """As soon as it is enough after a second, or when patience ends."""
    story = stories()[name]
    with Stage() as stage:
        story.play(stage)
        begun = time.monotonic()
        time.sleep(SECONDS)
        while (n := story.happened(stage)) < story.least and time.monotonic() < begun + PATIENCE:
            time.sleep(0.2)
        return n


if __name__ == "__main__":
    try:
        print(counted(sys.argv[1]))
    except CannotBePlayed as lack:
        print(lack)
        sys.exit(CANNOT)
