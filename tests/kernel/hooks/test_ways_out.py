"""By which interface SYNs leave that nobody answers: as `ip route get` says."""

from __future__ import annotations

import json
import os
import socket
import time

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


@pytest.mark.parametrize("rung", ["btf-tracepoint", "tracepoint", "sock_diag"])
def test_a_connect_that_hangs_says_by_which_interface(modules: Modules, rung: str) -> None:
    with namespace(), standing(modules, "tcp-connect", rung=rung) as attachment:
        black_hole()
        with connect_into_hole(80):
            deadline, rows = time.monotonic() + 20, list[Values]()
            while not rows and time.monotonic() < deadline:
                time.sleep(0.2)
                rows = [r for r in values(attachment) if r["late"] and r["raddr"] == HOLE]
        assert rows[0]["via"] == "h0"
