"""TCP connections of another network namespace, from /proc/<pid>/net; proc(5).

sock_diag answers for the caller's own namespace only.
"""

from __future__ import annotations

import socket
import struct
import sys
from pathlib import Path
from typing import NamedTuple

from probes.errors import short

_ESTABLISHED, _CLOSE_WAIT = "01", "08"
_MAPPED = b"\0" * 10 + b"\xff\xff"


class TcpEnds(NamedTuple):
    """Ends of an open connection. Addresses as text, IPv4-mapped ones as IPv4."""

    laddr: str
    lport: int
    raddr: str
    rport: int
    inode: int


def tcp_connections(process: str) -> list[TcpEnds]:
    """List those of the namespace of a process, by its folder in a proc file system."""
    lines = [line for name in ("tcp", "tcp6") for line in _lines(Path(process, "net", name))]
    fields = (line.split() for line in lines)
    return [
        TcpEnds(*_end(f[1]), *_end(f[2]), int(f[9]))
        for f in fields
        if len(f) > 9 and f[3] in (_ESTABLISHED, _CLOSE_WAIT) and f[9] != "0"
    ]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("ascii").splitlines()[1:]
    except OSError as refused:
        if short(refused.errno):
            raise
        return []  # it has gone, or has no IPv6
    except ValueError:
        return []


def _end(text: str) -> tuple[str, int]:
    """Parse address and port; the address is 32-bit words in the host's byte order."""
    words, _, port = text.partition(":")
    raw = bytes.fromhex(words)
    if sys.byteorder == "little":
        count = len(raw) // 4
        raw = struct.pack(f"<{count}I", *struct.unpack(f">{count}I", raw))
    if raw.startswith(_MAPPED):
        raw = raw[12:]
    family = socket.AF_INET if len(raw) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, raw), int(port, 16)
