"""Interfaces of other kinds than veth, each made for a test, or the test skips."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.namespaces import run

_TUNSETIFF = 0x400454CA  # include/uapi/linux/if_tun.h
_IFF_TUN, _IFF_TAP, _IFF_NO_PI = 1, 2, 0x1000


def make(name: str, kind: str, *options: str) -> None:
    """By `ip link add`; skips where this kernel has no such devices."""
    command = ("ip", "link", "add", "name", name, "type", kind, *options)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this kernel makes no {kind}: {done.stderr.strip()}")
    quiet(name)
    run("ip", "link", "set", "dev", name, "up")


def quiet(name: str) -> None:
    """No IPv6 on it, so that it says nothing by itself."""
    file = Path("/proc/sys/net/ipv6/conf", name, "disable_ipv6")
    if file.exists():
        file.write_text("1")


@contextmanager
def tun(name: str, *, ethernet: bool = False) -> Iterator[Callable[[bytes], int]]:
    """A tun (or tap) device; what is written arrives there. Gone at the end."""
    try:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    except OSError as refused:
        pytest.skip(f"no tun devices here: {refused.strerror}")
    try:
        flags = (_IFF_TAP if ethernet else _IFF_TUN) | _IFF_NO_PI
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH14x", name.encode(), flags))
        quiet(name)
        run("ip", "link", "set", "dev", name, "up")
        yield lambda packet: os.write(fd, packet)
    finally:
        os.close(fd)
