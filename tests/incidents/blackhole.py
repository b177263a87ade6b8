"""A network that answers nothing: a process has more and more connects that hang."""

from tests.support.incidents import counters, relay, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    relay.hole(stage)
    stage.actor("crawler", traffic.begins("198.51.100.7", 443, 15, most=800))


STORY = Story(
    title="198.51.100.7 answers nothing: the connects of crawler hang",
    play=play,
    tool="ss state syn-sent",
    happened=lambda _: counters.sockets("state", "syn-sent"),
    expected=Expected(
        what=r"pending|no answer|unanswered|SYN.SENT|hang|timed out", who="crawler",
        where=r"198\.51\.100\.7", belongs=r"198\.51\.100|wan0",
    ),
    quick=True,
)  # fmt: skip
