"""A path's MTU is smaller than what a process sends, and it may not be fragmented."""

import errno
import socket
from collections.abc import Iterator

from tests.support.incidents import traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story
from tests.support.incidents.values import IP_MTU_DISCOVER, IP_PMTUDISC_DO
from tests.support.namespaces import run


def play(stage: Stage) -> None:
    viewer = stage.host("viewer")
    run("ip", "link", "set", viewer.interface, "mtu", "1280")

    def act() -> Iterator[None]:
        with socket.socket(type=socket.SOCK_DGRAM) as s:
            s.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
            yield
            for _ in traffic.pace(200):
                try:
                    s.sendto(b"x" * 1400, (viewer.address, 5004))
                except OSError as refused:
                    if refused.errno == errno.EMSGSIZE:
                        stage.add()

    stage.actor("streamd", act)


STORY = Story(
    title="streamd sends more than the MTU of eth1 allows",
    play=play,
    tool="the process's own count",
    happened=Stage.tally,
    expected=Expected(
        what=r"EMSGSIZE|MTU|TOO_BIG|too (big|large|long)", who="streamd", where="sendto|5004|eth1",
        belongs="sendto|streamd",
    ),
    least=50,
)  # fmt: skip
