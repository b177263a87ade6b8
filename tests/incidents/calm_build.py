"""A build: processes that start and end, headers that are looked for in many places."""

from tests.support.incidents import noise
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Story


def play(stage: Stage) -> None:
    noise.build(stage)


STORY = Story(
    title="a build: short processes, opens of files that are not there",
    play=play,
    tool="its own count",
    happened=Stage.tally,
    least=50,
    quick=True,
)
