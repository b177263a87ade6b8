"""The way to a peer loses every tenth packet: a backup is retransmitted again and again."""

from tests.support.incidents import counters, relay, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    far = relay.far(stage, delay=relay.constant(0.02), loss=0.1)
    stage.actor("vault", traffic.serves(873), at="far")
    for _ in range(3):
        stage.actor("backupd", traffic.talks(far.address, 873, 30, size=8000))
    stage.keep["begun"] = counters.nstat("TcpRetransSegs")


STORY = Story(
    title="a tenth of the packets to 10.88.0.2 is lost on the way",
    play=play,
    tool="nstat TcpRetransSegs",
    happened=lambda stage: counters.nstat("TcpRetransSegs") - stage.keep["begun"],
    expected=Expected(
        what=r"retransmit|lost on the way|loss", who="backupd", where=r"10\.88\.0\.2",
        belongs=r"10\.88|backupd",
    ),
    least=3,
)  # fmt: skip
