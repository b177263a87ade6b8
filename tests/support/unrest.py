"""What happens on a busy host, at random: interfaces that come, go and change their names, port
scans, datagrams that nobody takes, many short processes. In the caller's network namespace."""

from __future__ import annotations

import random
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

NAMES = tuple(f"w{n}" for n in range(6))
NETWORK = "192.0.2."
PAUSE = 0.05


@contextmanager
def unrest(seed: int) -> Iterator[None]:
    """All of it, in a thread of its own, until the end."""
    over = threading.Event()
    thread = threading.Thread(target=_go_on, args=(random.Random(seed), over))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _go_on(dice: random.Random, over: threading.Event) -> None:
    kinds: tuple[Callable[[random.Random], None], ...] = (_add, _delete, _rename, _up_or_down)
    _add(dice)
    while not over.wait(PAUSE):
        with suppress(OSError):
            dice.choice((*kinds, _scan, _scan, _send, _processes, _processes))(dice)


def _ip(*words: str) -> None:
    """Change something, or not: it may be there already, or not any more."""
    subprocess.run(("ip", *words), stderr=subprocess.DEVNULL, check=False)


def _add(dice: random.Random) -> None:
    name = dice.choice(NAMES)
    _ip("link", "add", name, "type", "veth", "peer", "name", f"p{name}")
    for end in (name, f"p{name}"):
        _ip("link", "set", end, "up")
    _ip("address", "add", f"{NETWORK}{dice.randint(1, 200)}/24", "dev", name)


def _delete(dice: random.Random) -> None:
    _ip("link", "del", dice.choice(NAMES))


def _rename(dice: random.Random) -> None:
    _ip("link", "set", dice.choice(NAMES), "name", dice.choice(NAMES))


def _up_or_down(dice: random.Random) -> None:
    _ip("link", "set", dice.choice(NAMES), dice.choice(("up", "down")))


def _scan(_: random.Random) -> None:
    for port in range(2000, 2200):
        with socket.socket() as caller:
            caller.setblocking(False)
            caller.connect_ex(("127.0.0.1", port))


def _send(dice: random.Random) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(50):
            sender.sendto(b"nobody listens", (f"{NETWORK}{dice.randint(1, 250)}", 9))


def _processes(_: random.Random) -> None:
    subprocess.run(("sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do /bin/true; done"), check=False)
