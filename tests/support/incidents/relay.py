"""A way to a host that takes time and loses packets: two tun devices and who carries between."""

from __future__ import annotations

import fcntl
import heapq
import os
import random
import select
import struct
import time
from collections.abc import Callable, Iterator

from tests.support.incidents.stage import Actor, Host, Stage, enter
from tests.support.incidents.values import IFF_NO_PI, IFF_TUN, TUNSETIFF
from tests.support.namespaces import run

Delay = Callable[[float], float]
"""Seconds that a packet takes, by the seconds that the relay has worked."""


def constant(seconds: float) -> Delay:
    return lambda _: seconds


def rising(before: float, after: float, at: float = 1.5) -> Delay:
    """What it took before, and since."""
    return lambda age: before if age < at else after


def tun(name: str) -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH14x", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


def far(stage: Stage, name: str = "far", *, delay: Delay | None = None, loss: float = 0) -> Host:
    """A host behind `wan0`, at 10.88.0.2. Each way takes half of the delay and has the loss."""
    one = Host(name, "wan0", "10.88.0.1", "10.88.0.2")
    stage.namespace(name)
    stage.actor("upstream", _carries(one, delay or constant(0.01), loss))
    run("ip", "addr", "add", f"{one.here}/24", "dev", "wan0")
    run("ip", "-n", name, "addr", "add", f"{one.address}/24", "dev", "wan0")
    return one


def hole(stage: Stage, network: str = "198.51.100.0/24") -> None:
    """A network behind `wan0` of which nothing comes back, nor is anything dropped here."""
    stage.actor("upstream", _swallows())
    run("ip", "addr", "add", "10.88.0.1/24", "dev", "wan0")
    run("ip", "route", "add", network, "via", "10.88.0.2", "dev", "wan0")


def up(name: str) -> None:
    run("sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=1")
    run("ip", "link", "set", name, "up")


def _swallows() -> Actor:
    def act() -> Iterator[None]:
        fd = tun("wan0")
        up("wan0")
        yield
        while True:
            select.select([fd], [], [])
            os.read(fd, 65536)

    return act


def _carries(host: Host, delay: Delay, loss: float) -> Actor:
    def act() -> Iterator[None]:
        ends = [tun("wan0")]
        up("wan0")
        enter(host.name)
        ends.append(tun("wan0"))
        up("wan0")
        yield
        _carry(ends, delay, loss)

    return act


def _carry(ends: list[int], delay: Delay, loss: float) -> None:
    on_the_way: list[tuple[float, int, int, bytes]] = []
    dice, begun, number = random.Random(1), time.monotonic(), 0
    while True:
        now = time.monotonic()
        while on_the_way and on_the_way[0][0] <= now:
            _, _, to, packet = heapq.heappop(on_the_way)
            os.write(to, packet)
        wait = on_the_way[0][0] - now if on_the_way else None
        for fd in select.select(ends, [], [], wait)[0]:
            packet, number = os.read(fd, 65536), number + 1
            to = ends[1] if fd == ends[0] else ends[0]
            if dice.random() >= loss:
                due = time.monotonic() + delay(now - begun) / 2
                heapq.heappush(on_the_way, (due, number, to, packet))
