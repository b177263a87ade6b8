"""Connection tracking has no entry left: what is new is dropped, whatever the firewall allows."""

from pathlib import Path

from tests.support.incidents import traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story

_STATISTICS = Path("/proc/thread-self/net/stat/nf_conntrack")


def play(stage: Stage) -> None:
    stage.tracks_at_most(200)
    client = stage.host("client")
    stage.nft("ip", "type filter hook input priority 0; ct state invalid counter name hit drop;")
    stage.actor("webd", traffic.serves(8080))
    stage.actor("keeper", traffic.begins(client.here, 8080, 500, most=400), at="client")
    stage.actor("caller", traffic.begins(client.here, 8080, 50), at="client")


def _dropped(_: Stage) -> float:
    head, *cpus = _STATISTICS.read_text().splitlines()
    at = head.split().index("drop")
    return float(sum(int(cpu.split()[at], 16) for cpu in cpus))


STORY = Story(
    title="connection tracking is full: new connections to port 8080 are dropped",
    play=play,
    tool="/proc/net/stat/nf_conntrack",
    happened=_dropped,
    expected=Expected(
        what=r"conntrack|connection tracking", who="webd|caller", where=r"eth1|8080",
        belongs="8080|eth1|no device",
    ),
)  # fmt: skip
