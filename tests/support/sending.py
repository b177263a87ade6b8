"""Ways to send by TCP and UDP: what the process handed to the kernel, and how often."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from tests.support import calls, uring
from tests.support.events import NO_ROUTE

_MPTCP, _UDP_LITE, _SOL_UDP_LITE = 262, 136, 136
_SOL_TLS, _TCP_ULP, _TLS_TX, _TLS_1_2, _AES_GCM_128 = 282, 31, 1, 0x0303, 51
_SO_ZEROCOPY, _MSG_ZEROCOPY = 60, 0x4000000
_SOL_UDP, _UDP_SEGMENT = 17, 103
DATA = b"x" * 1000
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Way:
    """protocol: of its row; "" where no row is to say anything. unseen: as in `misses`.
    instead: what is counted there where that says so."""

    name: str
    make: Callable[[], object]
    protocol: str = "tcp"
    octets: int | None = len(DATA)
    sends: int | None = 1
    failed: int = 0
    unseen: str = ""
    instead: Mapping[tuple[str, str], int] | None = None


class _Msg(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint),
        ("iov", ctypes.c_void_p),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("unused", ctypes.c_int),
        ("sent", ctypes.c_ulong),  # of struct mmsghdr
    )


def _sendmmsg(s: socket.socket, messages: int) -> None:
    kept = ctypes.create_string_buffer(DATA, len(DATA))
    vector = struct.pack("@PN", ctypes.addressof(kept), len(DATA))
    iov = ctypes.create_string_buffer(vector, len(vector))
    made = (_Msg * messages)(*[_Msg(iov=ctypes.addressof(iov), iovlen=1) for _ in range(messages)])
    assert _libc.sendmmsg(s.fileno(), made, messages, 0) == messages


def _sendfile(s: socket.socket) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(DATA)
        file.flush()
        assert os.sendfile(s.fileno(), file.fileno(), 0, len(DATA)) == len(DATA)


def _splice(s: socket.socket) -> None:
    reader, writer = os.pipe()
    os.write(writer, DATA)
    assert os.splice(reader, s.fileno(), len(DATA)) == len(DATA)
    os.close(reader)
    os.close(writer)


def _without_copying(s: socket.socket) -> None:
    s.setsockopt(socket.SOL_SOCKET, _SO_ZEROCOPY, 1)
    assert s.send(DATA, _MSG_ZEROCOPY) == len(DATA)


def _fails(error: int, call: Callable[..., int], *arguments: object) -> None:
    found = 0
    try:
        call(*arguments)
    except OSError as failed:
        found = failed.errno or 0
    assert found == error


def _ended(stack: ExitStack) -> socket.socket:
    """A connection that sends no more."""
    s, _ = _pair(stack)
    s.shutdown(socket.SHUT_WR)
    return s


def _pair(stack: ExitStack, proto: int = 0) -> tuple[socket.socket, socket.socket]:
    """A connection, and its other end, which nobody reads."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        s = stack.enter_context(socket.socket(proto=proto))
        s.connect(listener.getsockname())
        return s, stack.enter_context(listener.accept()[0])


def _to(stack: ExitStack, host: str, by: int = 0, proto: int = 0) -> socket.socket:
    """A socket of UDP that is connected to a port where somebody is; by: its own family."""
    family = socket.AF_INET6 if ":" in host and "." not in host else socket.AF_INET
    inbox = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM, proto))
    inbox.bind((host.removeprefix("::ffff:"), 0))
    s = stack.enter_context(socket.socket(by or family, socket.SOCK_DGRAM, proto))
    s.connect((host, inbox.getsockname()[1]))
    return s


def restarted(seconds: float = 0.05) -> tuple[dict[str, int], dict[str, int]]:
    """What is counted of filling a connection, and of a send that waits for room while signals
    come whose handler lets it go on. In a process of its own; what it saw."""
    filled = {"bytes": 0, "sends": 0, "failed": 0}
    with ExitStack() as stack:
        s, peer = _pair(stack)
        while not filled["failed"]:
            filled["sends"] += 1
            try:
                filled["bytes"] += s.send(b"x" * 65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                filled["failed"] += 1
        if (reader := os.fork()) == 0:
            try:
                s.close()
                time.sleep(seconds)
                while peer.recv(1 << 20):
                    pass
            finally:
                os._exit(0)
        try:
            with calls.alarms(restart=True):
                sent = s.send(DATA)  # a part, where there was room for one before a signal came
        finally:
            s.shutdown(socket.SHUT_RDWR)
            os.waitpid(reader, 0)
    return filled, {"bytes": sent, "sends": 1}


def _encrypts(stack: ExitStack) -> socket.socket | None:
    """A connection whose records the kernel encrypts; None where it cannot."""
    s, _ = _pair(stack)
    try:
        s.setsockopt(socket.IPPROTO_TCP, _TCP_ULP, b"tls")
        s.setsockopt(_SOL_TLS, _TLS_TX, struct.pack("=HH36x", _TLS_1_2, _AES_GCM_128))
    except OSError:
        return None
    return s


@contextmanager
def ways() -> Iterator[list[Way]]:
    """Those that this kernel has. In a network namespace of its own, with its loopback up."""
    with ExitStack() as stack:
        tcp, _ = _pair(stack)
        udp, mapped = _to(stack, "127.0.0.1"), _to(stack, "::ffff:127.0.0.1", socket.AF_INET6)
        six = _to(stack, "::1")
        lost = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        parts = _to(stack, "127.0.0.1")
        parts.setsockopt(_SOL_UDP, _UDP_SEGMENT, 100)
        unix = [stack.enter_context(s) for s in socket.socketpair()]

        pages, as_udp = "sendfile()", {("udp", "bytes"): len(DATA), ("udp", "sends"): 1}
        nowhere = partial(_fails, errno.ENETUNREACH, lost.sendto, DATA, (NO_ROUTE, 9))
        made = [
            Way("send", lambda: tcp.send(DATA)),
            Way("write", lambda: os.write(tcp.fileno(), DATA)),
            Way("writev", lambda: os.writev(tcp.fileno(), [DATA[:500], DATA[500:]])),
            Way("sendmmsg", partial(_sendmmsg, tcp, 3), octets=3000, sends=3),
            Way("sendfile", partial(_sendfile, tcp), sends=None, unseen=pages),
            Way("splice", partial(_splice, tcp), sends=None, unseen=pages),
            Way("MSG_ZEROCOPY", partial(_without_copying, tcp)),
            Way(
                "after its end",
                partial(_fails, errno.EPIPE, _ended(stack).send, DATA),
                octets=0,
                failed=1,
            ),
            Way("udp", lambda: udp.send(DATA), "udp"),
            Way("udp, sendmmsg", partial(_sendmmsg, udp, 3), "udp", 3000, 3),
            Way("udp, UDP_SEGMENT", lambda: parts.send(DATA), "udp"),
            Way("udp of IPv6", lambda: six.send(DATA), "udp"),
            Way("udp, mapped", lambda: mapped.send(DATA), "udp"),
            Way("udp without a route", nowhere, "udp", 0, 1, 1),
            Way("unix", lambda: unix[0].send(DATA), ""),
        ]
        if (ring := stack.enter_context(uring.ring())) is not None:
            send = partial(ring.send, tcp.fileno(), DATA)
            made.append(Way("io_uring", send))
        try:
            mptcp, _ = _pair(stack, _MPTCP)
            lite = _to(stack, "127.0.0.1", proto=_UDP_LITE)
        except OSError:
            pass
        else:
            made.append(Way("MPTCP", lambda: mptcp.send(DATA)))
            made.append(Way("MPTCP, sendfile", partial(_sendfile, mptcp), sends=None))
            made.append(
                Way("UDP-Lite", lambda: lite.send(DATA), "", unseen="UDP-Lite", instead=as_udp)
            )
        if (tls := _encrypts(stack)) is not None:
            made.append(Way("kTLS", lambda: tls.send(DATA), unseen="kTLS"))
            made.append(Way("kTLS, sendfile", partial(_sendfile, tls), sends=None, unseen="kTLS"))
        yield made
