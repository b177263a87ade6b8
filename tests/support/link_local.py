"""A process that talks to one link-local address by two links, which is two places.

python -m tests.support.link_local LINK LINK     in a namespace that `links` made
"""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.support.commands import ROOT
from tests.support.namespaces import run, veth

ADDRESS = "fe80::77"
LINKS = {"v0": 3, "w0": 4}
"""Connections by each."""
REFUSED, DATAGRAMS = 5, 6
"""By the second one alone."""


class Talker(NamedTuple):
    """port: where somebody listens; closed: where nobody does."""

    process: subprocess.Popen[str]
    pid: int
    port: int
    closed: int

    def step(self) -> None:
        """Connects, or closes what is open."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"


@contextmanager
def talker() -> Iterator[Talker]:
    """Makes the links in this thread's network namespace, and starts the process there."""
    for link in LINKS:
        veth(link, link[0] + "1")
        Path(f"/proc/sys/net/ipv6/conf/{link}/disable_ipv6").write_text("0")
        run("ip", "addr", "add", f"{ADDRESS}/64", "dev", link, "nodad")
    command = (sys.executable, "-m", __name__)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port, closed = map(int, process.stdout.readline().split())
        yield Talker(process, process.pid, port, closed)
        process.stdin.close()


def _connect(port: int, link: str) -> socket.socket:
    s = socket.socket(socket.AF_INET6)
    s.connect((ADDRESS, port, 0, socket.if_nametoindex(link)))
    return s


def _main() -> None:
    with (
        socket.create_server(("::", 0), family=socket.AF_INET6) as server,
        socket.socket(socket.AF_INET6) as free,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp,
    ):
        free.bind(("::", 0))
        port, closed = server.getsockname()[1], free.getsockname()[1]
        print(port, closed, flush=True)
        held: list[socket.socket] = []
        for _ in sys.stdin:
            if held:
                while held:
                    held.pop(0).close()
            else:
                for link, times in LINKS.items():
                    for _ in range(times):
                        held += [_connect(port, link), server.accept()[0]]
                        held[-2].sendall(b"x")
                        held[-1].sendall(held[-1].recv(1))
                        held[-2].recv(1)
                for _ in range(REFUSED):
                    with suppress(ConnectionRefusedError):
                        _connect(closed, "w0")
                        raise OSError(errno.EISCONN, "somebody listens there")
                for _ in range(DATAGRAMS):
                    udp.sendto(b"x", (ADDRESS, closed, 0, socket.if_nametoindex("w0")))
            print("done", flush=True)


if __name__ == "__main__":
    _main()
