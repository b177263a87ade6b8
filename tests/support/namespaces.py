"""A network namespace for a test's own thread, with veth pairs and exact packet counts."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOBUFS
from pathlib import Path
from typing import Any

from probes.kernel.netlink import socket as nlsocket
from probes.kernel.netlink.socket import attributes, text

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914  # include/uapi/linux/{sockios,if}.h
_IFF_UP, _IFF_RUNNING = 1 << 0, 1 << 6
FRAME = b"\xff" * 6 + b"\x02" * 6 + b"\x88\xb5" + b"\0" * 46
"""A broadcast frame of an EtherType for experiments: no protocol answers or counts it."""


@contextmanager
def namespace() -> Iterator[None]:
    """Makes a namespace and moves this thread (and what it starts) into it until the end."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if _libc.unshare(_CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        _up("lo")
        yield
    finally:
        if _libc.setns(home, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(home)


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def as_json(*command: str) -> Any:
    return json.loads(run(*command) or "[]")


def bpftool(*command: str) -> Any:
    """What bpftool lists. It gives up over an object that is being made meanwhile: once more."""
    for _ in range(50):
        done = subprocess.run(
            ("bpftool", "-j", *command), capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return json.loads(done.stdout.strip() or "[]")  # 5.10: an empty line for nothing
        time.sleep(0.05)
    raise AssertionError(f"{command}: {done.stdout} {done.stderr}")


def veth(one: str = "v0", other: str = "v1") -> tuple[int, int]:
    """A pair that is up and silent (no IPv6), and its ifindexes."""
    run("ip", "link", "add", "name", one, "type", "veth", "peer", "name", other)
    for name in (one, other):
        # Where a guest's kernel has no IPv6 there is nothing to silence.
        quiet = Path("/proc/sys/net/ipv6/conf", name, "disable_ipv6")
        if quiet.exists():
            quiet.write_text("1")
        _up(name)
    for name in (one, other):
        await_running(name)
    return socket.if_nametoindex(one), socket.if_nametoindex(other)


HERE, THERE = "192.0.2.1", "192.0.2.2"


@contextmanager
def pair() -> Iterator[str]:
    """v0 here, v1 in a namespace beside, both with addresses; that namespace's name."""
    name = f"beside-{os.getpid()}"
    run("ip", "netns", "add", name)
    try:
        veth()
        run("ip", "link", "set", "v1", "netns", name)
        run("ip", "addr", "add", f"{HERE}/24", "dev", "v0")
        run("ip", "-n", name, "addr", "add", f"{THERE}/24", "dev", "v1")
        run("ip", "-n", name, "link", "set", "v1", "up")
        yield name
    finally:
        run("ip", "netns", "del", name)


def await_running(interface: str, *, running: bool = True) -> None:
    """Waits for the kernel's link watcher: until it has run, frames go nowhere.

    Before its first run the state is unknown, which counts as running; of some devices it stays so.
    """
    for attempt in range(1000):
        known = attempt > 30 or _has_a_state(interface)
        if known and bool(_flags(interface) & _IFF_RUNNING) is running:
            if running:  # its queue is begun a moment later, under the lock that this takes
                _up(interface)
            return
        time.sleep(0.01)
    raise AssertionError(f"{interface} does not become {'up' if running else 'down'}")


def _has_a_state(interface: str) -> bool:
    """Whether its IFLA_OPERSTATE is other than unknown."""

    def state(data: bytes, start: int, end: int) -> tuple[str, int]:
        found = {kind: (first, last) for kind, first, last in attributes(data, start + 16, end)}
        return text(data, *found[3]), data[found[16][0]]

    return dict(nlsocket.dump(nlsocket.ROUTE, 18, bytes(16), state))[interface] != 0


def _up(interface: str) -> None:
    """As `ip link set up` does, without a process: under emulation one takes a quarter second."""
    flags = _flags(interface) | _IFF_UP
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, _SIOCSIFFLAGS, struct.pack("16sH22x", interface.encode(), flags))


def _flags(interface: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        answer = fcntl.ioctl(s, _SIOCGIFFLAGS, struct.pack("16s24x", interface.encode()))
    (flags,) = struct.unpack_from("H", answer, 16)
    return int(flags)


def send(interface: str, frames: int, frame: bytes = FRAME) -> None:
    """Sends so many frames out of an interface; on return the peer has them, or a drop does."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind((interface, 0))
        for _ in range(frames):
            try:
                s.send(frame)
            except OSError as e:
                if e.errno != ENOBUFS:  # that is a drop on the way out, told to the sender
                    raise
