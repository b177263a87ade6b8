"""Ways to connect, each to a port of its own: what the process sees of it, and what is counted."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.support import calls, uring
from tests.support.events import HOLE, NO_ROUTE, black_hole, server
from tests.support.namespaces import run

HERE, PROHIBITED, UNREACHABLE = "127.0.0.1", "198.51.100.8", "198.51.100.9"
_MPTCP, _TCP_FASTOPEN_CONNECT, _MSG_FASTOPEN = 262, 30, 0x20000000
_I386_CONNECT = 362
_EVERY_LISTENER_WITHOUT_COOKIES = 1 | 2 | 4 | 0x200 | 0x400  # net.ipv4.tcp_fastopen
DEFERRED, ITSELF = 212, 225
"""The port to which the SYN goes with the first write; that a socket connects to from the same."""
_AGAIN = 2
"""How often each is done."""


@dataclass(frozen=True)
class Way:
    """counted: counters that are not zero. unseen: what `misses` says where there is no row, or
    one that says no more than `instead`."""

    host: str
    port: int
    make: Callable[[str, int], object]
    counted: Mapping[str, int] = field(default_factory=dict)
    unseen: str = ""
    instead: Mapping[str, int] = field(default_factory=dict)


def name4(host: str, port: int) -> bytes:
    """A struct sockaddr_in."""
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + _octets(host)


def _octets(host: str) -> bytes:
    return socket.inet_aton(host) + bytes(8)


def _plainly(error: int, host: str, port: int, proto: int = 0) -> None:
    for _ in range(_AGAIN):
        with socket.socket(proto=proto) as s:
            assert s.connect_ex((host, port)) == error


def _by_uring(ring: uring.Ring, error: int, flags: int, host: str, port: int) -> None:
    for _ in range(_AGAIN):
        with socket.socket() as s:
            assert ring.connect(s.fileno(), name4(host, port), flags) == -error


def _by_int80(error: int, host: str, port: int) -> None:
    def work() -> int:
        with socket.socket() as s:
            name = name4(host, port)
            found = calls.through_int80(_I386_CONNECT, 1, s.fileno(), name, len(name))
        return found != -error

    for _ in range(_AGAIN):
        assert calls.in_child(work)[1] == 0


def _deferred(host: str, port: int) -> None:
    """The SYN goes with the first write."""
    for _ in range(_AGAIN):
        with socket.socket() as s:
            s.setsockopt(socket.IPPROTO_TCP, _TCP_FASTOPEN_CONNECT, 1)
            s.connect((host, port))
            s.sendall(b"x")
            assert s.recv(1) == b"x"


def _deferred_to_nobody(host: str, port: int) -> None:
    for _ in range(_AGAIN):
        with socket.socket() as s:
            s.setsockopt(socket.IPPROTO_TCP, _TCP_FASTOPEN_CONNECT, 1)
            s.connect((host, port))
            with suppress(ConnectionRefusedError):
                s.sendall(b"x")
                s.recv(1)


def _with_data(error: int, host: str, port: int) -> None:
    for _ in range(_AGAIN):
        with socket.socket() as s:
            found = 0
            try:
                s.sendto(b"x", _MSG_FASTOPEN, (host, port))
            except OSError as failed:
                found = failed.errno or 0
            assert found == error
            assert error or s.recv(1) == b"x"


def _v6_only(host: str, port: int) -> None:
    for _ in range(_AGAIN):
        with socket.socket(socket.AF_INET6) as s:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            assert s.connect_ex((f"::ffff:{host}", port)) == errno.ENETUNREACH


def _raw(error: int, family: int, name: bytes) -> None:
    """A connect by a name that Python would not write."""
    with socket.socket(family) as s:
        assert calls.connect(s.fileno(), name) == error


def _wrong_names(host: str, port: int) -> None:
    """A name of another family, one that is too short, none."""
    six = struct.pack("=H", socket.AF_INET6) + struct.pack("!H", port) + bytes(24)
    _raw(errno.EAFNOSUPPORT, socket.AF_INET, six)
    _raw(errno.EAFNOSUPPORT, socket.AF_INET6, name4(host, port) + bytes(12))
    _raw(errno.EINVAL, socket.AF_INET, name4(host, port)[:8])
    _raw(0, socket.AF_INET, bytes(16))


def _without_tcp(host: str, port: int) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.connect((host, port))
    with socket.socket(socket.AF_UNIX) as unix:
        assert unix.connect_ex("/nonexistent/socket") == errno.ENOENT
    with suppress(OSError), socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as vsock:
        vsock.settimeout(1)
        vsock.connect_ex((socket.VMADDR_CID_HOST, port))


def _twice(end: Callable[[socket.socket], object], host: str, port: int) -> None:
    """Without waiting, and again, which begins nothing; then it is given up."""
    for _ in range(_AGAIN):
        with socket.socket() as s:
            s.setblocking(False)
            assert s.connect_ex((host, port)) == errno.EINPROGRESS
            assert s.connect_ex((host, port)) == errno.EALREADY
            end(s)


def _dissolve(s: socket.socket) -> None:
    assert calls.connect(s.fileno(), bytes(16)) == 0  # AF_UNSPEC


def _interrupted(host: str, port: int) -> None:
    """A signal ends the call, and the attempt goes on until it is closed."""
    for _ in range(_AGAIN):
        with socket.socket() as s, calls.alarms(restart=False):
            assert calls.connect(s.fileno(), name4(host, port)) == errno.EINTR


def _never_written(host: str, port: int) -> None:
    for _ in range(_AGAIN):
        with socket.socket() as s:
            s.setsockopt(socket.IPPROTO_TCP, _TCP_FASTOPEN_CONNECT, 1)
            s.connect((host, port))


def _to_itself(host: str, port: int) -> None:
    """Both sides begin: the one socket is both."""
    for _ in range(_AGAIN):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
            s.bind((host, port))
            s.connect((host, port))


def _while_connected(host: str, port: int) -> None:
    for _ in range(_AGAIN):
        with socket.create_connection((host, port)) as s:
            assert s.connect_ex((host, port)) == errno.EISCONN


def _has_mptcp() -> bool:
    try:
        socket.socket(proto=_MPTCP).close()
    except OSError:
        return False
    return True


@contextmanager
def ways() -> Iterator[list[Way]]:
    """Those that this kernel has. In a network namespace of its own."""
    black_hole()
    run("ip", "route", "add", "prohibit", PROHIBITED)
    run("ip", "route", "add", "unreachable", UNREACHABLE)
    Path("/proc/sys/net/ipv4/tcp_fastopen").write_text(str(_EVERY_LISTENER_WITHOUT_COOKIES))
    n = _AGAIN
    refused = {"connects": n, "refused": n, "failed": n}
    nowhere = {"connects": n, "unreachable": n, "failed": n}
    gave_up = {"connects": n, "gave_up": n, "failed": n}
    there = {"connects": n, "established": n, "timed": n}
    made = [
        Way(PROHIBITED, 210, partial(_plainly, errno.EACCES), _other(n)),
        Way(UNREACHABLE, 211, partial(_plainly, errno.EHOSTUNREACH), nowhere),
        Way(HERE, DEFERRED, _deferred, there | {"timed": 0}),
        Way(HERE, 213, partial(_with_data, 0), there),
        Way(NO_ROUTE, 214, partial(_with_data, errno.ENETUNREACH), nowhere, "MSG_FASTOPEN"),
        Way(HERE, 215, _v6_only, nowhere),
        Way(HERE, 216, _wrong_names),
        Way(HERE, 217, _without_tcp),
        Way(HOLE, 218, partial(_twice, socket.socket.close), gave_up),
        Way(HOLE, 219, partial(_twice, lambda s: s.shutdown(socket.SHUT_RDWR)), gave_up),
        Way(HOLE, 220, partial(_twice, _dissolve), gave_up),
        Way(HERE, 221, _while_connected, there),
        Way(HOLE, 222, _interrupted, gave_up),
        Way(HERE, 223, _never_written, gave_up, "TCP_FASTOPEN_CONNECT", {"connects": n}),
        Way(HERE, ITSELF, _to_itself, there),
        Way(HERE, 224, _deferred_to_nobody, refused),
    ]
    with ExitStack() as stack:
        if (ring := stack.enter_context(uring.ring())) is not None:
            ask, late = partial(_by_uring, ring), uring.ASYNC
            made += [
                Way(HERE, 230, partial(ask, 0, 0), there),
                Way(HERE, 231, partial(ask, errno.ECONNREFUSED, 0), refused),
                Way(NO_ROUTE, 232, partial(ask, errno.ENETUNREACH, 0), nowhere, "io_uring"),
                Way(NO_ROUTE, 233, partial(ask, errno.ENETUNREACH, late), nowhere, "io_uring"),
            ]
        if calls.has_i386():
            made += [
                Way(HERE, 240, partial(_by_int80, 0), there),
                Way(HERE, 241, partial(_by_int80, errno.ECONNREFUSED), refused),
                Way(NO_ROUTE, 242, partial(_by_int80, errno.ENETUNREACH), nowhere, "32-bit"),
            ]
        if _has_mptcp():
            made += [
                Way(HERE, 250, partial(_plainly, 0, proto=_MPTCP), there),
                Way(HERE, 251, partial(_plainly, errno.ECONNREFUSED, proto=_MPTCP), refused),
                Way(NO_ROUTE, 252, partial(_plainly, errno.ENETUNREACH, proto=_MPTCP), nowhere),
            ]
        for way in made:
            if way.counted.get("established") and way.make is not _to_itself:
                stack.enter_context(server(way.host, way.port))
        yield made


def _other(n: int) -> dict[str, int]:
    return {"connects": n, "other": n, "failed": n}
