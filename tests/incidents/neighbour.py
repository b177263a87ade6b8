"""A neighbour that has gone: nobody answers for its address."""

from tests.support.incidents import traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story
from tests.support.namespaces import run


def play(stage: Stage) -> None:
    stage.host("lan")
    stage.actor("backupd", traffic.asks("10.77.1.99", 873, 20, timeout=4))
    stage.actor("metricsd", traffic.sends("10.77.1.99", 8125, 300))


def _failed(_: Stage) -> float:
    """Neighbours that do not answer."""
    return float(len(run("ip", "neigh", "show", "nud", "failed", "nud", "incomplete").splitlines()))


STORY = Story(
    title="nobody answers for the neighbour 10.77.1.99",
    play=play,
    tool="ip neigh",
    happened=_failed,
    expected=Expected(
        what=r"NEIGH|neighbour|next hop|unreachable", who="metricsd|backupd",
        where=r"10\.77\.1\.99|eth1", belongs="10.77.1.99|eth1|no device|EHOSTUNREACH",
    ),
    least=1,
)  # fmt: skip
