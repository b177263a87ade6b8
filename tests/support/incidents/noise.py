"""What goes on at any host, and is no incident: callers of a web server, a build, a port scan."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.incidents import packets, traffic
from tests.support.incidents.stage import Stage
from tests.support.namespaces import run


def web(stage: Stage, per_second: float = 60) -> None:
    """From a host beside, each connection closed in order by both."""
    users = stage.host("users", "web0")
    stage.actor("nginx", traffic.serves(443))
    stage.actor("user", traffic.asks(users.here, 443, per_second), at="users")


def build(stage: Stage, per_second: float = 10) -> None:
    """Processes that start and end, each of which looks for headers that are not there."""

    def act() -> Iterator[None]:
        yield
        for n, _ in enumerate(traffic.pace(per_second)):
            for place in range(40):
                stage.add(7)
                if not Path(f"/usr/include/acme{place}/part{n}.h").exists():
                    _look(f"/usr/local/include/acme{place}/part{n}.h", stage)
            subprocess.run(["/bin/true"], check=False)

    stage.actor("make", act)


def _look(name: str, stage: Stage) -> None:
    try:
        os.close(os.open(name, os.O_RDONLY))
    except FileNotFoundError:
        stage.add()


def scan(stage: Stage, per_second: float = 60) -> None:
    """From another machine: SYNs to ports where nobody listens, one after the other."""
    here, there = "10.79.0.1", "10.79.0.66"
    stage.actor("outside", packets.arrive("dmz0", "10.79.0.0/24", _syns(there, here), per_second))
    run("ip", "addr", "add", f"{here}/32", "dev", "dmz0")


def _syns(source: str, to: str) -> Iterator[bytes]:
    dice = random.Random(1)
    while True:
        ports = dice.randrange(30000, 60000), dice.randrange(2000, 60000)
        yield packets.syn(source, to, ports, dice.randrange(2**32))


def all_of_it(stage: Stage) -> None:
    web(stage)
    build(stage)
    scan(stage)
