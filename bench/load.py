"""Something to watch: a paced load that stops by itself, on loopback and veth pairs of its own.

    python -m bench.load SECONDS [PAIRS] [still]

Each second 50 rows of every pane change: in every hundredth of a second, 3 connects that succeed
and 1 that is refused (50 addresses in turn), 100 cheap system calls (50 kinds), a few bytes there
and back on 5 of 50 standing connections. As root also 5 datagrams through some of 50 veth pairs
to a closed port (dropped there), in a network namespace that ends with this process; PAIRS: so
many instead; still: everything is there, and nothing happens. 200 idle processes stand by, as on a
server: the peers' cost grows with their number.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path

TICK = 0.01
ROWS = 50
CONNECTS, REFUSED, CALLS, TALKS, DATAGRAMS = 3, 1, 100, 5, 5
IDLE = 200
ADDRESSES = [f"127.0.{row // 200 + 1}.{row % 200 + 1}" for row in range(ROWS)]
# x86-64: calls that answer EBADF to the file -1, with no effect, and three that only ask.
ASKING = (102, 110, 121)
REFUSED_AT_ONCE = (0, 1, 3, 5, 8, 16, 17, 18, 19, 20, 32, 33, 40, 42, 43, 44, 45, 46, 47, 48, 49)
REFUSED_AT_ONCE += (50, 51, 52, 54, 55, 72, 73, 74, 75, 77, 81, 91, 93, 138, 187, 190, 193, 196)
REFUSED_AT_ONCE += (217, 221, 233, 285, 295, 296, 306, 268)
SYSCALLS = (*ASKING, *REFUSED_AT_ONCE) if platform.machine() == "x86_64" else ()

_libc = ctypes.CDLL(None, use_errno=True)


def main(seconds: float, pairs: int = ROWS, *, still: bool = False) -> None:
    """Runs the load for so many seconds, or until SIGTERM. pairs: of veths."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ExitStack() as stack:
        stack.enter_context(idle(seconds))
        far = stack.enter_context(veths(seconds, pairs)) if os.geteuid() == 0 else None
        listener = stack.enter_context(socket.create_server(("0.0.0.0", 0), backlog=128))
        closed = stack.enter_context(socket.socket())
        closed.bind(("0.0.0.0", 0))  # bound, not listening: a connect is refused
        port, refusing = listener.getsockname()[1], closed.getsockname()[1]
        standing = cycle([_pair(listener, port, stack) for _ in range(ROWS)])
        addresses, turns, calls = cycle(ADDRESSES), cycle(range(pairs)), cycle(SYSCALLS)
        deadline = due = time.monotonic()
        deadline += seconds
        if still:
            time.sleep(seconds)
        while due < deadline and not still:
            _connect(listener, addresses, port, refusing)
            _talk(standing)
            _call(calls)
            if far is not None:
                _datagrams(far, turns)
            due = max(due + TICK, time.monotonic())
            time.sleep(max(due - time.monotonic(), 0))


Talk = tuple[socket.socket, socket.socket]


def _pair(listener: socket.socket, port: int, stack: ExitStack) -> Talk:
    near = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
    return near, stack.enter_context(listener.accept()[0])


def _connect(listener: socket.socket, addresses: Iterator[str], port: int, refusing: int) -> None:
    for _ in range(CONNECTS):
        with socket.create_connection((next(addresses), port)):
            listener.accept()[0].close()
    for _ in range(REFUSED):
        with socket.socket() as caller:
            caller.connect_ex((next(addresses), refusing))


def _talk(standing: Iterator[Talk]) -> None:
    for _ in range(TALKS):
        near, far = next(standing)
        near.sendall(b"there")
        far.sendall(far.recv(16))
        near.recv(16)


def _call(numbers: Iterator[int]) -> None:
    for _ in range(CALLS):
        if SYSCALLS:
            _libc.syscall(next(numbers), -1, 0, 0, 0, 0, 0)
        else:
            os.getppid()


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


def _datagrams(far: socket.socket, pairs: Iterator[int]) -> None:
    for _ in range(DATAGRAMS):
        try:
            far.sendto(b"nobody listens", (_address(next(pairs), 2), 9))
        except ConnectionRefusedError:
            pass  # the answer to an earlier one


def _address(pair: int, side: int) -> str:
    """Of 198.18.0.0/15, which is for benchmarks (RFC 2544): goes nowhere else."""
    return f"198.18.{pair}.{side}"


@contextmanager
def veths(seconds: float, pairs: int) -> Iterator[socket.socket]:
    """Veth pairs into a namespace that ends with the `with`; a socket to send by."""
    far = subprocess.Popen(["unshare", "--net", "sleep", str(int(seconds) + 10)])
    try:
        _until_unshared(far.pid)
        near, away = [], []
        for pair in range(pairs):
            name = f"bench{pair}"
            near += [
                f"link add {name} type veth peer {name} netns {far.pid}",
                f"address add {_address(pair, 1)}/30 dev {name}",
                f"link set {name} up",
            ]
            away += [f"address add {_address(pair, 2)}/30 dev {name}", f"link set {name} up"]
        _ip(near)
        _ip(away, "nsenter", "--net", f"--target={far.pid}")
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


def _ip(commands: Sequence[str], *before: str) -> None:
    lines = "".join(f"{command}\n" for command in commands)
    subprocess.run([*before, "ip", "-batch", "-"], input=lines, text=True, check=True)


if __name__ == "__main__":
    main(float(sys.argv[1]), *map(int, sys.argv[2:3]), still="still" in sys.argv[3:])
