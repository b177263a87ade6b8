"""A rule on a bridge drops what two containers say to each other."""

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story
from tests.support.namespaces import run


def play(stage: Stage) -> None:
    run("ip", "link", "add", "br0", "type", "bridge")
    stage.undo(run, "ip", "link", "del", "br0")
    run("ip", "link", "set", "br0", "up")
    hosts = [stage.host(name, f"vm{n}") for n, name in enumerate(("red", "blue"))]
    for n, host in enumerate(hosts, 1):
        run("ip", "link", "set", host.interface, "master", "br0")
        run("ip", "-n", host.name, "addr", "add", f"10.99.0.{n}/24", "dev", "eth0")
    stage.actor("collector", traffic.takes(9000), at="red")
    stage.actor("feeder", traffic.sends("10.99.0.1", 9000, 500), at="blue")
    rule = "type filter hook forward priority 0; udp dport 9000 counter name hit drop;"
    stage.nft("bridge", rule)


STORY = Story(
    title="a rule on br0 drops what passes it for port 9000",
    play=play,
    tool="nft counter",
    happened=lambda _: counters.nft("bridge"),
    expected=Expected(
        what=r"NETFILTER_DROP|firewall|nft|bridge", who=r"br0|vm[01]", where=r"br0|vm[01]",
        belongs=r"br0|vm[01]",
    ),
    least=100,
)  # fmt: skip
