"""The way to one peer has become slow; other peers are as near as ever."""

from tests.support.incidents import counters, relay, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    near = stage.host("near")
    far = relay.far(stage, delay=relay.rising(0.02, 0.4))
    for host in ("near", "far"):
        stage.actor("postgres", traffic.serves(873), at=host)
    stage.actor("billing", traffic.talks(near.address, 873, 50))
    stage.actor("syncd", traffic.talks(far.address, 873, 20))


STORY = Story(
    title="the way to 10.88.0.2 takes 400 ms, where it took 20",
    play=play,
    tool="ss rtt",
    happened=lambda _: counters.slowest_trip(),
    expected=Expected(
        what=r"RTT|round.trip", who="syncd", where=r"10\.88\.0\.2", share=r"\dx|\d ?%",
        belongs=r"10\.88|recvfrom|syncd",
    ),
    least=100,
    quick=True,
)  # fmt: skip
