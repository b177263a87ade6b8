"""Something to watch: a paced load that stops by itself, on loopback and a veth pair of its own.

    python -m bench.load SECONDS

In every hundredth of a second: 3 connects that succeed, 1 that is refused, 100 cheap system calls,
and a few bytes there and back on each of 5 standing connections. As root also 5 datagrams through
a veth pair to a closed port (dropped there), in a network namespace that ends with this process.
200 idle processes stand by, as on a server: the peers' cost grows with their number.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

TICK = 0.01
CONNECTS, REFUSED, CALLS, STANDING, DATAGRAMS = 3, 1, 100, 5, 5
IDLE = 200
ADDRESS, PEER = "192.0.2.1", "192.0.2.2"  # TEST-NET-1 (RFC 5737): goes nowhere else


def main(seconds: float) -> None:
    """Runs the load for so many seconds, or until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ExitStack() as stack:
        stack.enter_context(idle(seconds))
        far = stack.enter_context(veth(seconds)) if os.geteuid() == 0 else None
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
        closed = stack.enter_context(socket.socket())
        closed.bind(("127.0.0.1", 0))  # bound, not listening: a connect is refused
        standing = [_pair(listener, stack) for _ in range(STANDING)]
        deadline = due = time.monotonic()
        deadline += seconds
        while due < deadline:
            _tick(listener, closed.getsockname(), standing)
            if far is not None:
                _datagrams(far)
            due = max(due + TICK, time.monotonic())
            time.sleep(max(due - time.monotonic(), 0))


def _pair(listener: socket.socket, stack: ExitStack) -> tuple[socket.socket, socket.socket]:
    near = stack.enter_context(socket.create_connection(listener.getsockname()))
    return near, stack.enter_context(listener.accept()[0])


def _tick(
    listener: socket.socket,
    closed: tuple[str, int],
    standing: list[tuple[socket.socket, socket.socket]],
) -> None:
    for _ in range(CONNECTS):
        with socket.create_connection(listener.getsockname()):
            listener.accept()[0].close()
    for _ in range(REFUSED):
        with socket.socket() as caller:
            caller.connect_ex(closed)
    for _ in range(CALLS):
        os.getppid()
    for near, far in standing:
        near.sendall(b"there")
        far.sendall(far.recv(16))
        near.recv(16)


@contextmanager
def idle(seconds: float) -> Iterator[None]:
    """IDLE sleeping processes, ended together."""
    asleep = f"for i in $(seq {IDLE}); do sleep {seconds + 10:.0f} & done; wait"
    shell = subprocess.Popen(["sh", "-c", asleep], start_new_session=True)
    try:
        yield
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()


def _datagrams(far: socket.socket) -> None:
    for _ in range(DATAGRAMS):
        try:
            far.sendto(b"nobody listens", (PEER, 9))
        except ConnectionRefusedError:
            pass  # the answer to an earlier one


@contextmanager
def veth(seconds: float) -> Iterator[socket.socket]:
    """A veth pair into a namespace of its own, which ends with the `with`; a socket to send by."""
    far = subprocess.Popen(["unshare", "--net", "sleep", str(int(seconds) + 10)])
    try:
        _until_unshared(far.pid)
        inside = ("nsenter", "--net", f"--target={far.pid}")
        _run("ip", "link", "add", "bench0", "type", "veth", "peer", "bench1", "netns", str(far.pid))
        _run("ip", "address", "add", f"{ADDRESS}/30", "dev", "bench0")
        _run("ip", "link", "set", "bench0", "up")
        _run(*inside, "ip", "address", "add", f"{PEER}/30", "dev", "bench1")
        _run(*inside, "ip", "link", "set", "bench1", "up")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            yield sender
    finally:
        far.kill()
        far.wait()


def _until_unshared(pid: int) -> None:
    own = Path("/proc/self/ns/net").readlink()
    for _ in range(500):
        if Path(f"/proc/{pid}/ns/net").readlink() != own:
            return
        time.sleep(0.01)
    raise TimeoutError("unshare made no network namespace")


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main(float(sys.argv[1]))
