"""Interfaces of other network namespaces: numbers of the right one, and nothing kept of any."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.kernel.namespace_links import COUNTERS, NamespaceLinks
from tests.support import containers
from tests.support.namespaces import namespace, run, send

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]
NAMES = [f"ebpftop-{os.getpid()}-{n}" for n in range(3)]
RX = list(COUNTERS).index("rx_packets")


@pytest.fixture(autouse=True)
def _three() -> Iterator[None]:
    """Namespaces without a process, each at the end of a pair."""
    with namespace():
        for n, name in enumerate(NAMES):
            run("ip", "netns", "add", name)
            end = ("peer", "name", "eth0", "netns", name)
            run("ip", "link", "add", f"v{n}", "type", "veth", *end)
            run("ip", "-n", name, "link", "set", "eth0", "addrgenmode", "none", "up")
            run("ip", "link", "set", f"v{n}", "addrgenmode", "none", "up")
        yield
        for name in NAMES:
            if Path(f"/run/netns/{name}").exists():
                run("ip", "netns", "del", name)


def _received(links: NamespaceLinks) -> dict[int, int]:
    """Packets received by eth0 of each namespace that is ours, once all are known."""
    ours = [
        Path(f"/run/netns/{n}").stat().st_ino for n in NAMES if Path(f"/run/netns/{n}").exists()
    ]
    while True:
        there, counted = links.read()
        found = {
            ours.index(inode): int(row[RX])
            for (inode, link), row in zip(there, counted, strict=True)
            if inode in ours and link.name == "eth0"
        }
        if len(found) == len(ours):
            return found
        time.sleep(0.05)


def test_each_has_its_own_numbers_also_when_their_order_changes() -> None:
    """A process that comes moves its namespace to another place."""
    links = NamespaceLinks()
    assert _received(links) == {0: 0, 1: 0, 2: 0}
    for n in range(3):
        send(f"v{n}", 10 * (n + 1))
    assert _received(links) == {0: 10, 1: 20, 2: 30}
    with containers.sleeping("ip", "netns", "exec", NAMES[2]):
        time.sleep(0.3)  # namespaces of processes are looked for five times a second
        assert _received(links) == {0: 10, 1: 20, 2: 30}


def test_it_keeps_no_namespace() -> None:
    """With it goes its end of the pair, and with that ours."""
    links = NamespaceLinks()
    _received(links)
    run("ip", "netns", "del", NAMES[1])
    while "v1@" in run("ip", "-o", "link"):
        time.sleep(0.05)
    there, counted = links.read()
    assert len(there) == len(counted)


def test_an_interface_that_comes_is_there_with_its_numbers() -> None:
    links = NamespaceLinks()
    _received(links)
    run("ip", "-n", NAMES[0], "link", "add", "more", "type", "veth", "peer", "name", "other")
    while "more" not in {link.name for _, link in links.read()[0]}:
        time.sleep(0.05)
