"""Nothing happens but that somebody thinks and waits."""

from tests.support.incidents import traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Story


def play(stage: Stage) -> None:
    stage.actor("cron", traffic.again(2, stage.add))


STORY = Story(
    title="an idle host", play=play, tool="its own count", happened=Stage.tally, least=1, quick=True
)
