"""A cable is out: what is sent by that interface goes nowhere."""

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story
from tests.support.namespaces import await_running, run


def play(stage: Stage) -> None:
    lan = stage.host("lan")
    run("ip", "-n", lan.name, "link", "set", "eth0", "down")
    await_running(lan.interface, running=False)
    stage.actor("metricsd", traffic.sends(lan.address, 8125, 300))


STORY = Story(
    title="eth1 has no carrier",
    play=play,
    tool="ip -s link",
    happened=lambda _: counters.missing("eth1", "tx"),
    expected=Expected(
        what=r"carrier|link (is )?down|DEV_READY|cable", who="eth1|metricsd", where="eth1",
        belongs="eth1|no device",
    ),
)  # fmt: skip
