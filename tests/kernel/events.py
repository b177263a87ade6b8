"""Makes known numbers of the events that hooks count."""

from __future__ import annotations

import ctypes
import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from namespaces import run, veth

_libc = ctypes.CDLL(None, use_errno=True)


def getpgid(pid: int, times: int) -> None:
    """A system call that nothing else makes while a test runs; -1 fails with ESRCH."""
    for _ in range(times):
        _libc.getpgid(pid)


@contextmanager
def server(host: str, port: int = 0) -> Iterator[int]:
    """An echo server; its port."""
    with socket.create_server((host, port), family=_family(host)) as listener:
        thread = threading.Thread(target=_echo, args=(listener,), daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        thread.join()


def _echo(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(connection,), daemon=True).start()


def _serve(connection: socket.socket) -> None:
    with connection:
        while data := connection.recv(4096):
            connection.sendall(data)


def _family(host: str) -> int:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def free_port(host: str) -> int:
    """A port on which nobody listens."""
    with socket.create_server((host, 0), family=_family(host)) as listener:
        return int(listener.getsockname()[1])


def connect(host: str, port: int, times: int = 1) -> int:
    """Connects and closes; how many were refused or failed."""
    failed = 0
    for _ in range(times):
        with socket.socket(_family(host)) as s:
            failed += s.connect_ex((host, port)) != 0
    return failed


def talk(host: str, port: int, messages: int) -> socket.socket:
    """An open connection over which so many messages went there and back."""
    s = socket.create_connection((host, port))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for _ in range(messages):
        s.sendall(b"x")
        s.recv(1)
    return s


HOLE = "192.0.2.77"
NO_ROUTE = "198.51.100.1"


def black_hole() -> None:
    """Makes HOLE an address that never answers: its neighbour entry leads to nobody."""
    veth("h0", "h1")
    run("ip", "addr", "add", "192.0.2.1/24", "dev", "h0")
    run("ip", "neigh", "add", HOLE, "lladdr", "02:00:00:00:00:77", "dev", "h0")


def connect_into_hole(port: int) -> socket.socket:
    """A connect that stays pending."""
    s = socket.socket()
    s.setblocking(False)
    assert s.connect_ex((HOLE, port)) == errno.EINPROGRESS
    return s


def time_out(port: int) -> None:
    """A connect that the kernel gives up after one retry: some 3 s."""
    with socket.socket() as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
        assert s.connect_ex((HOLE, port)) == errno.ETIMEDOUT
