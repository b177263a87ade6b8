"""Programs that try IPv6 first, which this host has no route for, and then IPv4."""

import socket

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Story


def play(stage: Stage) -> None:
    web = stage.host("web")
    stage.actor("nginx", traffic.serves(443), at="web")

    def fetch() -> None:
        with socket.socket(socket.AF_INET6) as six:
            if six.connect_ex(("2001:db8::1", 443)):
                with socket.create_connection((web.address, 443), 1) as four:
                    four.sendall(b"GET")
                    four.recv(4096)

    stage.actor("curl", traffic.again(3, fetch))


STORY = Story(
    title="IPv6 is tried first, and there is none",
    play=play,
    tool="nstat TcpActiveOpens",
    happened=lambda _: counters.nstat("TcpActiveOpens"),
    least=2,
)
