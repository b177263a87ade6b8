"""By which interface SYNs leave that nobody answers: as `ip route get` says."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from probes.kernel.netlink.routes import leaving
from probes.ladder.modules import Modules
from tests.support.events import HOLE, black_hole, connect_into_hole
from tests.support.namespaces import namespace, run
from tests.support.rungs import standing
from tests.support.scenarios import Values, values

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
]


def test_the_interface_is_that_of_ip_route_get() -> None:
    with namespace():
        black_hole()
        (route,) = json.loads(run("ip", "-j", "route", "get", HOLE))
        lo, hole, nowhere = leaving(["127.0.0.1", HOLE, "2001:db8::1"])
        assert (lo, hole) == (1, socket.if_nametoindex(route["dev"]))
        assert nowhere is None


@pytest.mark.parametrize("rung", ["btf-tracepoint", "tracepoint", "sock_ops", "sock_diag"])
def test_a_connect_that_hangs_says_by_which_interface(modules: Modules, rung: str) -> None:
    with namespace(), standing(modules, "tcp-connect", rung=rung) as attachment:
        black_hole()
        with connect_into_hole(80):
            deadline, rows = time.monotonic() + 20, list[Values]()
            while not rows and time.monotonic() < deadline:
                time.sleep(0.2)
                rows = [r for r in values(attachment) if r["late"] and r["raddr"] == HOLE]
        assert rows[0]["via"] == "h0"


@pytest.mark.parametrize("rung", ["btf-tracepoint", "sock_ops"])
def test_one_of_another_namespace_says_so_by_which_of_its_interfaces(
    modules: Modules, rung: str
) -> None:
    with namespace(), standing(modules, "tcp-connect", rung=rung) as attachment, ExitStack() as s:
        name = f"ebpftop-way-{os.getpid()}"
        run("ip", "netns", "add", name)
        s.callback(run, "ip", "netns", "del", name)
        run("ip", "-n", name, "link", "add", "far0", "type", "veth", "peer", "far1")
        run("ip", "-n", name, "addr", "add", "198.51.100.1/24", "dev", "far0")
        run("ip", "-n", name, "link", "set", "far0", "up", "arp", "off")
        caller = subprocess.Popen(
            ("ip", "netns", "exec", name, sys.executable, "-c",
             "import socket; socket.create_connection(('198.51.100.9', 80), 30)"),
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        s.callback(caller.wait)
        s.callback(caller.kill)
        deadline, rows = time.monotonic() + 20, list[Values]()
        while not rows and time.monotonic() < deadline:
            time.sleep(0.2)
            rows = [r for r in values(attachment) if r["late"] and r["raddr"] == "198.51.100.9"]
        inode = Path("/run/netns", name).stat().st_ino
        assert rows[0]["via"] == f"far0 (netns {inode})"
