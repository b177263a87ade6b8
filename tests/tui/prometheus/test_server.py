"""Whoever asks `export`, and however: few are answered at a time, each for a short time."""

from __future__ import annotations

import gc
import os
import resource
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from probes.hooks import catalogue
from probes.source import Host
from tui.prometheus import server as module
from tui.prometheus.metrics import Exported
from tui.prometheus.server import MOST_CLIENTS, Address, Server

PATIENCE = 10.0
"""Seconds in which each of these has ended."""


@contextmanager
def _serving() -> Iterator[Server]:
    with Server(Address("127.0.0.1", 0)) as server:
        server.serve(Exported(Host("web1", "6.12"), catalogue(), "1"))
        try:
            yield server
        finally:
            server.shutdown()


def _asked(server: Server, request: bytes) -> bytes:
    """All that is answered to these bytes."""
    with socket.create_connection(server.server_address[:2], PATIENCE) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(1 << 16), b""))


def _head(answer: bytes) -> tuple[int, bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def _at_first() -> int:
    gc.collect()  # what tests before have left goes now, not while we count
    return _descriptors()


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("path", ["/metrics", "/", "/nothing"])
def test_head_is_what_get_is_without_the_body(path: str) -> None:
    with _serving() as server:
        get, body = _head(_asked(server, b"GET %b HTTP/1.0\r\n\r\n" % path.encode()))
        head, nothing = _head(_asked(server, b"HEAD %b HTTP/1.0\r\n\r\n" % path.encode()))
    assert get == head
    assert body
    assert not nothing


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics/../x HTTP/1.1\r\n\r\n", 404),
        (b"GET http://[ HTTP/1.1\r\n\r\n", 400),
        (b"GET /metrics HTTP/x\r\n\r\n", 400),
        (b"\x1b]52;c;SU5K\x07 \x1b[2J \x1b[2J \x1b[2J\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", 431),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nx=1", 405),
        (b"DELETE / HTTP/1.1\r\n\r\n", 405),
        (b"\x1b[2J / HTTP/1.1\r\n\r\n", 405),
    ],
)
def test_what_is_no_request_is_refused_in_a_line(request_: bytes, status: int) -> None:
    """And nothing of it comes back."""
    with _serving() as server:
        answer = _asked(server, request_)
    found, body = _head(answer)
    assert found == status
    assert body.count(b"\n") == 1
    assert b"\x1b" not in answer


def test_slow_clients_take_few_places_and_none_from_who_asks() -> None:
    """200 that never finish to ask: the descriptors stay few, and the metrics are there."""
    with _serving() as server, ExitStack() as held:
        before = _at_first()
        mine = 0
        for _ in range(200):
            client = held.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.server_address[:2])
            mine += 1
        deadline = time.monotonic() + PATIENCE
        answered = False
        while not answered and time.monotonic() < deadline:
            try:
                url = "http://{}:{}/metrics".format(*server.server_address[:2])
                with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                    answered = b"ebpftop_build" in answer.read()
            except OSError:
                time.sleep(0.1)
            assert _descriptors() - before - mine <= MOST_CLIENTS + 4
        assert answered


def test_one_that_makes_way_keeps_its_place_until_its_thread_has_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where the machine is busy: else there are more descriptors and threads than places."""
    finish = module._Handler.finish
    monkeypatch.setattr(module._Handler, "finish", lambda self: (time.sleep(0.2), finish(self)))
    with _serving() as server:
        before = _at_first()
        with ExitStack() as held:
            for _ in range(60):
                held.enter_context(socket.create_connection(server.server_address[:2]))
            deadline = time.monotonic() + 1.5
            while time.monotonic() < deadline:
                assert _descriptors() - before - 60 <= MOST_CLIENTS + 4
                time.sleep(0.01)
        deadline = time.monotonic() + PATIENCE
        while _descriptors() > before and time.monotonic() < deadline:
            time.sleep(0.05)
        assert _descriptors() <= before


def test_a_client_has_its_time_for_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then does not make it longer, nor does an answer that is not read."""
    monkeypatch.setattr(module, "SLOWEST", 1.0)
    with _serving() as server, ExitStack() as held:
        before = _at_first()
        slow = held.enter_context(socket.create_connection(server.server_address[:2], PATIENCE))
        deaf = held.enter_context(socket.create_connection(server.server_address[:2], PATIENCE))
        deaf.sendall(b"GET /metrics HTTP/1.1\r\n")
        deadline = time.monotonic() + PATIENCE
        with suppress(ConnectionError):
            while time.monotonic() < deadline:
                slow.sendall(b"G")
                time.sleep(0.2)
        assert time.monotonic() < deadline
        while _descriptors() > before + 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert _descriptors() == before + 2, "only our own ends are left"


def test_without_file_descriptors_it_waits_and_goes_on() -> None:
    """While there are none no connection is taken; the listener is there still, and idle."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with _serving() as server, ExitStack() as held:
        client = held.enter_context(socket.socket())
        client.settimeout(PATIENCE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        taken: list[int] = []
        try:
            while True:
                try:
                    taken.append(os.open("/dev/null", os.O_RDONLY))
                except OSError:
                    break
            client.connect(server.server_address[:2])
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            spent = time.process_time()
            time.sleep(0.5)
            assert time.process_time() - spent < 0.3, "it does not spin"
        finally:
            for fd in taken:
                os.close(fd)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert client.recv(1 << 16).startswith(b"HTTP/1.0 200")
