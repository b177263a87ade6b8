"""Memory of a socket is short: what came out of order is thrown away."""

import socket
import threading
import time
from collections.abc import Iterator

from tests.support import out_of_order
from tests.support.incidents import counters
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story
from tests.support.namespaces import as_json, run

_MINE, _THEIRS, _NOBODY = "10.77.1.1", "10.77.1.66", "02:00:00:00:00:99"


def play(stage: Stage) -> None:
    peer = stage.host("peer")
    run("ip", "neigh", "add", _THEIRS, "lladdr", _NOBODY, "dev", peer.interface)
    (link,) = as_json("ip", "-j", "link", "show", "dev", peer.interface)

    def takes() -> Iterator[None]:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind((_MINE, 873))
        listener.listen(64)
        yield
        held = []
        while True:
            held.append(listener.accept()[0])

    def sends() -> Iterator[None]:
        yield
        while True:
            arguments = ("eth0", _NOBODY, link["address"], _THEIRS, _MINE, "873", "60")
            threading.Thread(target=out_of_order.main, args=arguments).start()
            time.sleep(0.2)

    stage.actor("syncd", takes)
    stage.actor("peer", sends, at="peer")


STORY = Story(
    title="the receive buffer of syncd is too small for what comes out of order",
    play=play,
    tool="nstat TcpExtTCPRcvQDrop, OfoPruned",
    happened=lambda _: counters.nstat("TcpExtOfoPruned", "TcpExtTCPRcvQDrop"),
    expected=Expected(
        what=r"PRUNE|buffer|memory|TCP_OFO|PROTO_MEM", who="syncd", where="873|eth1",
        belongs="eth1|no device|873|TCP",
    ),
    least=3,
)  # fmt: skip
