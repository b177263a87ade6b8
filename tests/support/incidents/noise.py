"""What goes on at any host, and is no incident: callers of a web server, a build, a port scan."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.incidents import traffic
from tests.support.incidents.stage import Stage


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
    """From a host beside, of ports where nobody listens."""
    scanner = stage.host("scanner", "dmz0")
    stage.actor("nmap", traffic.scans(scanner.here, per_second), at="scanner")


def all_of_it(stage: Stage) -> None:
    web(stage)
    build(stage)
    scan(stage)
