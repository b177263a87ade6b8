"""A bad cable: the carrier of eth1 comes and goes."""

from collections.abc import Iterator

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story
from tests.support.namespaces import run


def play(stage: Stage) -> None:
    lan = stage.host("lan")

    def moves() -> Iterator[None]:
        yield
        for n, _ in enumerate(traffic.pace(2)):
            run("ip", "link", "set", "eth0", "up" if n % 2 else "down")

    stage.actor("cable", moves, at="lan")
    stage.actor("metricsd", traffic.sends(lan.address, 8125, 50))


STORY = Story(
    title="the carrier of eth1 comes and goes",
    play=play,
    tool="ip -s -s link",
    happened=lambda _: counters.carrier_changes("eth1"),
    expected=Expected(
        what=r"flap|carrier", who="eth1", where="eth1", share=r"\d+ times",
        belongs="eth1|no device",
    ),
    least=3,
)  # fmt: skip
