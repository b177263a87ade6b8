"""`export`: an HTTP server that has the metrics of `metrics.Exported`."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from ipaddress import ip_address
from socketserver import ThreadingTCPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, MetricsHandler, ProcessCollector

from tui.prometheus.metrics import Exported

SLOWEST = 10.0
"""Seconds that a client may take to ask."""


class Address(NamedTuple):
    """Where to listen. host: a name or an address. port: 0 for any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


DEFAULT = Address("127.0.0.1", 19435)
"""The registry of exporters' ports (9100 to 9999) is full, so ours is beside it."""


class CannotListen(Exception):
    """The address is taken, or not this host's; one sentence."""


def parse(text: str) -> Address:
    """ADDR:PORT, [ADDR]:PORT for IPv6. Raises ValueError with a sentence."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"write an IPv6 address in brackets, as in [::1]:{DEFAULT.port}")
    if not host or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise ValueError(
            f"{text!r} is no ADDR:PORT, such as {DEFAULT}; 0.0.0.0 and [::] are all addresses"
        )
    return Address(host, int(port))


class _Handler(MetricsHandler):
    """/metrics, and a word on it at /; nothing else is there."""

    timeout = SLOWEST
    server_version, sys_version = "ebpftop", ""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/metrics":
            super().do_GET()
        elif path == "/":
            self._say(200, "ebpftop: the metrics are at /metrics\n")
        else:
            self._say(404, "there is only /metrics here\n")

    def _say(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


class Server(ThreadingTCPServer):
    """Listens at once, so that whoever asks waits; answers from `serve` on. Raises CannotListen."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: Address) -> None:
        try:
            found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            self.address_family, _, _, _, place = found[0]
            super().__init__(place, _Handler)  # type: ignore[arg-type]
        except OSError as why:
            raise CannotListen(
                f"cannot listen on {address}: {why.strerror}; --listen takes another ADDR:PORT"
            ) from None

    def handle_error(self, _request: Any, _client: Any) -> None:
        """Whoever hangs up in the middle is no error of ours."""

    def serve(self, exported: Exported) -> None:
        """In a thread of its own, which has the capabilities that the caller has now."""
        registry = CollectorRegistry()
        registry.register(exported)
        ProcessCollector(registry=registry)
        self.RequestHandlerClass = _Handler.factory(registry)
        threading.Thread(target=self.serve_forever, name="http", daemon=True).start()

    def said(self) -> Iterator[str]:
        """Where the metrics are, and who can read them."""
        where = Address(*self.socket.getsockname()[:2])
        yield f"metrics on http://{where}/metrics"
        if not ip_address(where.host.partition("%")[0]).is_loopback:
            yield "anybody who reaches that address can read them: names of processes, addresses"
