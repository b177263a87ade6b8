"""Somebody's TC program drops a third of what comes in."""

from tests.support.incidents import programs
from tests.support.incidents.programs import TCX_INGRESS
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    programs.drop_what_comes(stage, TCX_INGRESS, 0.33, "acme_police", "policed")


STORY = Story(
    title="a TC program drops a third of what comes by eth1",
    play=play,
    tool="sent, less nstat UdpInDatagrams",
    happened=programs.missing,
    expected=Expected(
        what="TC", who=r"acme_police|policed", where="eth1", belongs="eth1|no device"
    ),
    least=200,
    quick=True,
)
