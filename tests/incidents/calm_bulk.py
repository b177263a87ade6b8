"""A backup runs: much data, a long time, nothing lost."""

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Story


def play(stage: Stage) -> None:
    vault = stage.host("vault")
    stage.actor("vault", traffic.serves(873), at="vault")
    stage.actor("backupd", traffic.talks(vault.address, 873, 200, size=60000))


STORY = Story(
    title="a backup to a near host",
    play=play,
    tool="nstat TcpOutSegs",
    happened=lambda _: counters.nstat("TcpOutSegs"),
    least=100,
)
