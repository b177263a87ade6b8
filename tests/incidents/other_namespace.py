"""In a container's network a service is behind a firewall; this host's is in order."""

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story


def play(stage: Stage) -> None:
    pod = stage.host("pod")
    stage.actor("podweb", traffic.serves(8443), at="pod")
    rule = "type filter hook input priority 0; tcp dport 8443 counter name hit drop;"
    stage.nft("ip", rule, at="pod")
    stage.actor("gateway", traffic.begins(pod.address, 8443, 40))


STORY = Story(
    title="in another namespace nft drops all that comes for port 8443",
    play=play,
    tool="nft counter there",
    happened=lambda _: counters.nft(at="pod"),
    expected=Expected(
        what=r"NETFILTER_DROP|firewall|nft", who="podweb|gateway", where=r"8443.*netns|netns.*",
        belongs="netns|8443",
    ),
)  # fmt: skip
