"""The HTTP server of `export`, which serves the metrics of `metrics.Exported`.

Clients get few threads, few file descriptors and little time: the same process attaches programs,
and must not run short because of them.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from ipaddress import ip_address
from socketserver import ThreadingTCPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from prometheus_client import CollectorRegistry, MetricsHandler, ProcessCollector

from tui.prometheus.metrics import Exported

SLOWEST = 10.0
"""Seconds that a client may take to send its request and read the answer."""
MOST_CLIENTS, SILENT, ANSWERED = 16, 0.05, 1.0
"""Connections at a time; when all are in use, seconds after which one makes way for another: one
that has not sent its request, and one that is being answered."""
_PAUSE = 0.1
"""Seconds before the next attempt to accept a connection when memory or descriptors run short."""


class Address(NamedTuple):
    """An address to listen on. host: a name or an address. port: 0 for any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


DEFAULT = Address("127.0.0.1", 19435)
"""The registry of exporters' ports (9100 to 9999) is full, so ours is beside it."""


class CannotListen(Exception):
    """The address is in use, or not this host's; one sentence."""


def parse(text: str) -> Address:
    """Parse ADDR:PORT, or [ADDR]:PORT for IPv6. Raises ValueError with a sentence."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"write an IPv6 address in brackets, as in [::1]:{DEFAULT.port}")
    if not host or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise ValueError(
            f"{text!r} is not ADDR:PORT, such as {DEFAULT}; 0.0.0.0 and [::] mean all addresses"
        )
    return Address(host, int(port))


class _Handler(MetricsHandler):
    """Serves /metrics, and a pointer to it at /; nothing else exists."""

    timeout = SLOWEST
    server_version, sys_version = "ebpftop", ""

    def parse_request(self) -> bool:
        asked = super().parse_request()
        if asked and isinstance(self.server, Server):
            self.server.has_asked(self.connection)
        return asked

    def do_GET(self) -> None:
        try:
            path = urlsplit(self.path).path
            parse_qs(urlsplit(self.path).query)
        except ValueError:
            self.send_error(400)
            return
        if path == "/metrics":
            super().do_GET()
        elif path == "/":
            self._say(200, "ebpftop: the metrics are at /metrics\n")
        else:
            self._say(404, "there is only /metrics here\n")

    def do_HEAD(self) -> None:
        """Answer like GET, without a body."""
        self.do_GET()

    def end_headers(self) -> None:
        super().end_headers()
        if self.command == "HEAD":
            self.wfile = _Nowhere()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer with one line that repeats nothing of the request."""
        del message, explain
        self.close_connection = True
        self.request_version = "HTTP/1.0"  # else what is no request gets no status either
        if code == 501:  # what the library says of methods that it does not know
            self._say(405, "metrics can only be read: GET or HEAD\n", Allow="GET, HEAD")
        else:
            self._say(code, "unsupported request\n")

    def _say(self, status: int, text: str, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())


class _Nowhere(BytesIO):
    """Discards the body of an answer to HEAD."""

    def write(self, octets: Any) -> int:
        return len(octets)


class Server(ThreadingTCPServer):
    """A server that listens at once, so that clients wait, and answers from `serve` on.

    Raises CannotListen.
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 2 * MOST_CLIENTS

    def __init__(self, address: Address) -> None:
        self._clients: dict[socket.socket, float] = {}
        self._asked: set[socket.socket] = set()
        self._ending: set[socket.socket] = set()
        self._lock = threading.Lock()
        try:
            found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            self.address_family, _, _, _, place = found[0]
            super().__init__(place, _Handler)  # type: ignore[arg-type]
        except OSError as why:
            raise CannotListen(
                f"cannot listen on {address}: {why.strerror}; use --listen ADDR:PORT"
            ) from None

    def handle_error(self, _request: Any, _client: Any) -> None:
        """Ignore clients that hang up in the middle."""

    # -- who is answered -----------------------------------------------------------------------

    def get_request(self) -> tuple[Any, Any]:
        """Accept the next connection. Raises OSError if there can be none at the moment."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(_PAUSE)  # it waits on: the listener is readable at once again
            raise

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Accept every client; if there are too many, close one whose time is up."""
        del client_address
        while not self._has_place():
            time.sleep(SILENT / 4)
        with self._lock:
            self._clients[request] = time.monotonic()
        return True

    def _has_place(self) -> bool:
        with self._lock:
            if len(self._clients) < MOST_CLIENTS:
                return True
            if self._ending:  # its thread, and its descriptor, are there until it has noticed
                return False
            now = time.monotonic()
            for client, since in self._clients.items():  # the oldest first
                if now - since > (ANSWERED if client in self._asked else SILENT):
                    self._end(client)
                    break
        return False

    def has_asked(self, client: socket.socket) -> None:
        """Take note that the client's request has been read."""
        with self._lock:
            if client in self._clients:
                self._asked.add(client)

    def service_actions(self) -> None:
        """Close clients that took too long for the whole exchange; called twice a second."""
        late = time.monotonic() - SLOWEST
        with self._lock:
            for client, since in self._clients.items():
                if since < late and client not in self._ending:
                    self._end(client)

    def _end(self, client: socket.socket) -> None:
        """Shut the connection down; its thread notices, and closes it."""
        self._ending.add(client)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    def _forget(self, client: socket.socket) -> None:
        self._clients.pop(client, None)
        self._asked.discard(client)
        self._ending.discard(client)

    def process_request(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread can be started at the moment
            self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._forget(request)
        super().shutdown_request(request)

    def serve(self, exported: Exported) -> None:
        """Serve in a thread of its own, which has the capabilities that the caller has now."""
        registry = CollectorRegistry()
        registry.register(exported)
        ProcessCollector(registry=registry)
        self.RequestHandlerClass = _Handler.factory(registry)
        threading.Thread(target=self.serve_forever, name="http", daemon=True).start()

    def said(self) -> Iterator[str]:
        """Say where the metrics are, and who can read them."""
        where = Address(*self.socket.getsockname()[:2])
        yield f"metrics on http://{where}/metrics"
        if not ip_address(where.host.partition("%")[0]).is_loopback:
            yield "anyone who can reach that address can read process names and addresses"
