"""A story without an audience: `python -m tests.support.incidents.rehearsal NAME`, in namespaces of
its own. Plays it for a second or so and says what the independent tool counted."""

from __future__ import annotations

import sys
import time

from tests.support.incidents.stage import Stage
from tests.support.incidents.story import stories

SECONDS, PATIENCE = 1.0, 6.0


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
    print(counted(sys.argv[1]))
