"""A monitoring agent: reads all of /proc each second, where processes come and go."""

from pathlib import Path

from tests.support.incidents import traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Story


def play(stage: Stage) -> None:
    def look() -> None:
        for place in Path("/proc").iterdir():
            if place.name.isdigit():
                stage.add()
                for file in ("stat", "io", "no-such"):
                    try:
                        (place / file).read_text()
                    except OSError:
                        continue

    stage.actor("node_exporter", traffic.again(2, look))


STORY = Story(
    title="an agent that reads /proc",
    play=play,
    tool="its own count",
    happened=Stage.tally,
    least=5,
)
