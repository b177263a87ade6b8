"""Makes known numbers of the events that hooks count."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.namespaces import run, veth

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
    with connection, suppress(ConnectionResetError):
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


@contextmanager
def exhausted_ports(host: str, port: int, there: int, error: int, more: int) -> Iterator[None]:
    """Holds connections by all ports that there are, and tries to make more, which fail so."""
    with ExitStack() as stack:
        for given in (*[0] * there, *[error] * more):
            s = stack.enter_context(socket.socket(_family(host)))
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
            assert s.connect_ex((host, port)) == given
        yield


@contextmanager
def same_ends(host: str, port: int, own: int, error: int, times: int) -> Iterator[None]:
    """Holds a connection from a port of its own; sockets of the same port fail to connect so."""
    with ExitStack() as stack:
        for given in (0, *[error] * times):
            s = stack.enter_context(socket.socket(_family(host)))
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((host, own))
            assert s.connect_ex((host, port)) == given
        yield


def talk(host: str, port: int, messages: int) -> socket.socket:
    """An open connection over which so many messages went there and back."""
    s = socket.create_connection((host, port))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for _ in range(messages):
        s.sendall(b"x")
        s.recv(1)
    return s


def exchange(s: socket.socket, size: int) -> None:
    """So many bytes to an echo server and back."""
    echoed(s, b"x" * size)


def echoed(s: socket.socket, data: bytes) -> bytes:
    """What comes back from an echo server, as much as was sent."""
    s.settimeout(60)
    s.sendall(data)
    got = b""
    while len(got) < len(data):
        got += s.recv(len(data) - len(got))
    return got


LOST = 5000
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27  # include/uapi/asm-generic/socket.h


def lose(s: socket.socket) -> int:
    """LOST bytes there and back over a socket that is deaf at first; how many it resent."""
    hears_nothing(s)
    s.sendall(b"x" * LOST)
    while not _resent(s):
        time.sleep(0.02)
    hears_again(s)
    s.settimeout(60)
    left = LOST
    while left:
        left -= len(s.recv(left))
    return _resent(s)


def hears_nothing(s: socket.socket) -> None:
    """Packets to it are dropped: a listener's peers send their SYN again after a second."""
    nothing = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0))  # BPF_RET: 0 bytes
    program = struct.pack("@HP", 1, ctypes.addressof(nothing))
    s.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def hears_again(s: socket.socket) -> None:
    s.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


def _resent(s: socket.socket) -> int:
    """tcpi_total_retrans of struct tcp_info."""
    return int(
        struct.unpack_from("=I", s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 100)[0]
    )


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


@dataclass(frozen=True, slots=True)
class Named:
    """Operation, protocol, address and port, and how often: of all calls, of what stays open."""

    asked: dict[tuple[str, str, str, int], int]
    standing: dict[tuple[str, str, str, int], int]


@contextmanager
def name_addresses() -> Iterator[Named]:
    """Connects, binds, sends, receives and asks for peers."""
    host, host6 = "127.0.0.1", "::1"
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((host, 0)))
        inbox, sender = (stack.enter_context(_bound(host6)) for _ in range(2))
        port, box, sent = (s.getsockname()[1] for s in (listener, inbox, sender))
        clients = [stack.enter_context(socket.create_connection((host, port))) for _ in range(6)]
        assert [client.getpeername()[1] for client in clients[:2]] == [port] * 2
        for _ in range(5):
            sender.sendto(b"x", (host6, box))
        for _ in range(3):
            sender.sendmsg([b"x"], [], 0, (host6, box))
        for _ in range(4):
            inbox.recvfrom(1)
        refused = free_port(host)
        assert connect(host, refused, 2) == 2
        asked = {
            ("connect", "tcp", host, port): 6,
            ("connect", "tcp", host, refused): 2,
            ("getpeername", "tcp", host, 0): 2,
            ("bind", "tcp", host, 0): 2,
            ("bind", "udp", host6, 0): 2,
            ("sendmsg", "udp", host6, box): 8,
            ("recvmsg", "udp", host6, 0): 4,
        }
        standing = {
            ("connect", "tcp", host, port): 6,
            ("bind", "tcp", host, port): 1,
            ("bind", "udp", host6, box): 1,
            ("bind", "udp", host6, sent): 1,
        }
        yield Named(asked, standing)


def _bound(host: str) -> socket.socket:
    s = socket.socket(_family(host), socket.SOCK_DGRAM)
    s.bind((host, 0))
    return s


_NUMBERS = {
    "x86_64": {"bpf": 321, "init_module": 175, "finit_module": 313, "ptrace": 101},
    "aarch64": {"bpf": 280, "init_module": 105, "finit_module": 273, "ptrace": 117},
}[os.uname().machine]
_PTRACE_SEIZE = 0x4206
_AF_NOBODYS = 18  # AF_ASH: reserved, and never made


def be_checked() -> int:
    """A process that opens 7 files, connects 3 times, makes 4 bad calls of bpf(2), offers 2 modules
    that are none from memory and 1 as a file, asks for a module, and traces a child; then, as
    nobody, is refused 5 times to set the host's name and 2 times to open a file. Its pid."""
    nothing = ctypes.create_string_buffer(128)
    with tempfile.NamedTemporaryFile() as secret, Path(__file__).open() as file:
        if (pid := os.fork()) == 0:
            for _ in range(7):
                os.close(os.open("/dev/null", os.O_WRONLY))
            for _ in range(3):
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect_ex("/nonexistent/socket")
            for _ in range(4):
                _libc.syscall(_NUMBERS["bpf"], 0, nothing, 72)
            for _ in range(2):
                _libc.syscall(_NUMBERS["init_module"], nothing, len(nothing), b"")
            _libc.syscall(_NUMBERS["finit_module"], file.fileno(), b"", 0)
            with suppress(OSError):
                socket.socket(_AF_NOBODYS, socket.SOCK_RAW)
            if (child := os.fork()) == 0:
                signal.pause()
            _libc.syscall(_NUMBERS["ptrace"], _PTRACE_SEIZE, child, 0, 0)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.setresuid(65534, 65534, 65534)
            for _ in range(5):
                _libc.sethostname(b"never", 5)
            for _ in range(2):
                with suppress(PermissionError):
                    os.open(secret.name, os.O_RDONLY)
            os._exit(0)
        os.waitpid(pid, 0)
    return pid
