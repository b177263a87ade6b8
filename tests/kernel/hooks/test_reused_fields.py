"""Fields of a packet that are other things at times: nothing is made up of them, on any rung."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from probes.hooks import catalogue
from probes.ladder.attachment import Modules
from tests.support.commands import ROOT
from tests.support.namespaces import HERE, namespace, pair, run
from tests.support.obstacles import LINUX
from tests.support.rungs import standing
from tests.support.scenarios import values

pytestmark = pytest.mark.kernel

NOBODY = "192.0.2.50"
SEGMENTS = 150
LADDER = [rung.name for rung in catalogue()["drops"].ladder if rung.source]


def _mac(interface: str, *where: str) -> str:
    return run("ip", *where, "-br", "link", "show", interface).split()[2]


@contextmanager
def _little_server() -> Iterator[int]:
    """Its port. What it accepts is kept, and has so little room that it prunes."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        server.bind((HERE, 0))
        server.listen(9)
        yield server.getsockname()[1]


def _pruned() -> int:
    head, numbers = (
        line.split() for line in Path("/proc/thread-self/net/netstat").read_text().splitlines()[:2]
    )
    return int(numbers[head.index("OfoPruned")])


@pytest.mark.parametrize("rung", LADDER)
def test_a_packet_of_a_tree_has_no_device_but_the_interface_that_it_came_by(
    modules: Modules, rung: str
) -> None:
    """TCP's out-of-order queue keeps `skb->dev` as a node's left child: case 01."""
    with namespace(), pair() as beside:
        run("ip", "neigh", "add", NOBODY, "lladdr", _mac("v1", "-n", beside), "dev", "v0")
        with standing(modules, "drops", rung=rung) as attachment:
            with _little_server() as port:
                macs = _mac("v1", "-n", beside), _mac("v0")
                sender = (sys.executable, "-m", "tests.support.out_of_order", "v1", *macs)
                peer = (*sender, NOBODY, HERE, str(port), str(SEGMENTS))
                for _ in range(3):
                    subprocess.run(("ip", "netns", "exec", beside, *peer), cwd=ROOT, check=True)
                rows = [row for row in values(attachment) if row["dport"] == port]
            if not _pruned():
                pytest.skip("this kernel prunes nothing of it")
            if not rows and LINUX < (5, 17):
                pytest.skip("this kernel frees what it prunes without a word")
            assert {row["interface"] for row in rows} == {"v0"}
            assert sum(row["packets"] for row in rows) >= SEGMENTS
