"""Actors of the network: who serves, asks, sends and takes. Each yields when it is ready."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from tests.support.incidents.stage import Actor

ANSWER = b"x" * 400


def pace(per_second: float) -> Iterator[None]:
    """So often, without catching up on what was missed."""
    step = 1 / per_second
    at = time.monotonic()
    while True:
        yield
        at = max(at + step, time.monotonic() - 5 * step)
        time.sleep(max(at - time.monotonic(), 0))


def serves(port: int, *, host: str = "0.0.0.0", backlog: int = 512) -> Actor:
    """Answers each request on a connection, and closes when the caller has; "::" means both IPs."""

    def act() -> Iterator[None]:
        both = ":" in host
        family = socket.AF_INET6 if both else socket.AF_INET
        with socket.create_server(
            (host, port), family=family, backlog=backlog, dualstack_ipv6=both
        ) as listener:
            chosen = selectors.DefaultSelector()
            chosen.register(listener, selectors.EVENT_READ)
            yield
            while True:
                for key, _ in chosen.select():
                    _serve(chosen, listener, key.fileobj)

    return act


def _serve(chosen: selectors.BaseSelector, listener: socket.socket, one: object) -> None:
    assert isinstance(one, socket.socket)
    if one is listener:
        chosen.register(listener.accept()[0], selectors.EVENT_READ)
        return
    try:
        data = one.recv(65536)
        if data:
            one.sendall(ANSWER)
            return
    except OSError:
        pass  # reset
    chosen.unregister(one)
    one.close()


def asks(host: str, port: int, per_second: float, *, timeout: float = 1.0) -> Actor:
    """A connection for each question, closed in order."""

    def act() -> Iterator[None]:
        yield
        for _ in pace(per_second):
            with suppress(OSError), socket.create_connection((host, port), timeout) as s:
                s.sendall(b"GET")
                s.recv(4096)

    return act


def begins(host: str, port: int, per_second: float, most: int = 200) -> Actor:
    """Begins connections without waiting for them, and holds the last `most`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET

    def act() -> Iterator[None]:
        held: list[socket.socket] = []
        yield
        for _ in pace(per_second):
            s = socket.socket(family)
            s.setblocking(False)
            s.connect_ex((host, port))
            held.append(s)
            if len(held) > most:
                held.pop(0).close()

    return act


def talks(host: str, port: int, per_second: float, size: int = 100) -> Actor:
    """One connection, over which there is something to say again and again."""

    def act() -> Iterator[None]:
        with socket.create_connection((host, port), 5) as s:
            yield
            for _ in pace(per_second):
                s.sendall(b"x" * size)
                s.recv(65536)

    return act


def sends(
    host: str, port: int, per_second: float, size: int = 200, *, sent: Callable[[], object] = int
) -> Actor:
    """Datagrams, in some 20 bursts a second; sent: told of each."""
    burst = max(int(per_second / 20), 1)

    def act() -> Iterator[None]:
        with socket.socket(type=socket.SOCK_DGRAM) as s:
            yield
            for _ in pace(per_second / burst):
                for _ in range(burst):
                    with suppress(OSError):
                        s.sendto(b"x" * size, (host, port))
                    sent()

    return act


def takes(port: int, *, per_second: float = 0, room: int = 0) -> Actor:
    """Takes datagrams: all, or only so many; room: in its buffer."""

    def act() -> Iterator[None]:
        with socket.socket(type=socket.SOCK_DGRAM) as s:
            if room:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
            s.bind(("0.0.0.0", port))
            yield
            for _ in pace(per_second) if per_second else iter(int, 1):
                s.recv(65536)

    return act


def again(per_second: float, work: Callable[[], object]) -> Actor:
    """The same again and again, whatever comes of it."""

    def act() -> Iterator[None]:
        yield
        for _ in pace(per_second):
            with suppress(OSError):
                work()

    return act
