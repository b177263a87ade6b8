"""All local ports are in use: a process cannot connect any more."""

import errno
import socket
from collections.abc import Iterator

from tests.support.incidents import traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story

_FIRST, _LAST = 40000, 40019


def play(stage: Stage) -> None:
    proxy = stage.host("backend")
    stage.sysctl("net/ipv4/ip_local_port_range", f"{_FIRST} {_LAST}")
    stage.actor("backend", traffic.serves(8081), at="backend")

    def act() -> Iterator[None]:
        held = [socket.create_connection((proxy.address, 8081)) for _ in range(_FIRST, _LAST + 1)]
        yield
        for _ in traffic.pace(50):
            with socket.socket() as s:
                if s.connect_ex((proxy.address, 8081)) == errno.EADDRNOTAVAIL:
                    stage.add()
        del held

    stage.actor("proxyd", act)


STORY = Story(
    title="proxyd has no local port left for 8081",
    play=play,
    tool="the process's own count",
    happened=Stage.tally,
    expected=Expected(
        what=r"EADDRNOTAVAIL|no (local |free )?ports?\b", who="proxyd", where="8081",
        belongs="8081|connect |proxyd",
    ),
)  # fmt: skip
