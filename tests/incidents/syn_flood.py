"""SYNs from everywhere that are never completed: the request queue of a service is full."""

import random
from collections.abc import Iterator

from tests.support.incidents import counters, packets, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story
from tests.support.namespaces import run

_HERE = "10.79.1.1"


def _flood() -> Iterator[bytes]:
    dice = random.Random(1)
    while True:
        source = f"198.18.{dice.randrange(256)}.{dice.randrange(1, 255)}"
        ports = dice.randrange(1024, 65536), 8080
        yield packets.syn(source, _HERE, ports, dice.randrange(2**32))


def play(stage: Stage) -> None:
    stage.actor("outside", packets.arrive("wan0", "198.18.0.0/16", _flood(), 1000))
    run("ip", "addr", "add", f"{_HERE}/32", "dev", "wan0")
    stage.actor("shopd", traffic.serves(8080, backlog=64))


STORY = Story(
    title="a SYN flood: the request queue of port 8080 is full",
    play=play,
    tool="nstat TcpExtTCPReqQFullDoCookies",
    happened=lambda _: counters.nstat("TcpExtTCPReqQFullDoCookies"),
    expected=Expected(
        what=r"SYN.?(flood|cookie)|request queue|ReqQFull",
        who="shopd",
        where="8080",
        belongs="wan0|8080|SYN|cookie",
    ),
    least=100,
)
