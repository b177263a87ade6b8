"""C fields to values: what `Column.decode` names. Bytes in, value out; nothing else."""

from __future__ import annotations

import errno
import socket
from typing import Any

_RESTARTS = {512: "ERESTARTSYS", 513: "ERESTARTNOINTR", 514: "ERESTARTNOHAND", 516: "ERESTART"}


def comm(raw: Any) -> str:
    """A task's name: up to 15 bytes that its owner chose, so not always UTF-8."""
    return bytes(raw).split(b"\0")[0].decode(errors="replace")


def address(raw: Any) -> str:
    """16 bytes of IPv6 address as text; an IPv4-mapped one (::ffff:a.b.c.d) as IPv4."""
    raw = bytes(raw)
    if raw[:12] == b"\0" * 10 + b"\xff\xff":
        return socket.inet_ntop(socket.AF_INET, raw[12:])
    return socket.inet_ntop(socket.AF_INET6, raw)


def errno_name(number: int) -> str:
    """ENOENT for 2; the kernel's own restart codes, which no process ever sees, by name too."""
    return errno.errorcode.get(number) or _RESTARTS.get(number, f"errno {number}")
