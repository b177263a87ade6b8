"""A process whose work is done by a thread with a name of its own: what is counted is the process.

python -m tests.support.threaded      prints its pid; does it all once for each line it reads
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.commands import ROOT
from tests.support.events import getpgid, server

LEADER, THREAD = "the-leader", "a-worker"
GETPGIDS = 7


@dataclass(frozen=True)
class Threaded:
    """pid: in the PID namespace of this test. Others: by the namespaces that it is in, outer
    first, as the kernel has them in /proc/PID/status."""

    pid: int
    pids: tuple[int, ...]
    work: Callable[[], None]


@contextmanager
def threaded(*within: str) -> Iterator[Threaded]:
    """within: a command that the process is started by, as `unshare` is."""
    command = (*within, sys.executable, "-m", __name__)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        there, here = process.stdout, process.stdin
        there.readline()
        pid = process.pid
        while below := _children(pid):
            pid = below[0]
        status = Path(f"/proc/{pid}/status").read_text().split("NSpid:")[1].splitlines()[0]

        def work() -> None:
            here.write("\n")
            here.flush()
            assert there.readline() == "done\n"

        yield Threaded(pid, tuple(map(int, status.split())), work)
        here.close()


def _children(pid: int) -> list[int]:
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _all(port: int) -> None:
    Path("/proc/thread-self/comm").write_text(THREAD)
    Path("/dev/null").read_bytes()
    getpgid(0, GETPGIDS)
    socket.getaddrinfo("localhost", None)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"x")
        connection.recv(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendto(b"x", ("127.0.0.1", port))


def _main() -> None:
    Path("/proc/self/comm").write_text(LEADER)
    with server("127.0.0.1") as port:
        print(os.getpid(), flush=True)
        for _ in sys.stdin:
            thread = threading.Thread(target=_all, args=(port,))
            thread.start()
            thread.join()
            print("done", flush=True)


if __name__ == "__main__":
    _main()
