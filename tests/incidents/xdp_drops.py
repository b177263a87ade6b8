"""Somebody's XDP program drops half of what comes in."""

from tests.support.incidents import programs
from tests.support.incidents.programs import XDP
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    programs.drop_what_comes(stage, XDP, 0.5, "acme_filter", "filterd")


STORY = Story(
    title="an XDP program drops half of what comes by eth1",
    play=play,
    tool="sent, less nstat UdpInDatagrams",
    happened=programs.missing,
    expected=Expected(
        what="XDP", who=r"acme_filter|filterd", where="eth1", belongs="eth1|no device"
    ),
    least=200,
    quick=True,
)
