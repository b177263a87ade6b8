"""The kernel's own drop counters equal nstat's, and a known number of drops shows as that."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from probes.hooks.drops import counters
from probes.hooks.drops.untraced import Untraced
from probes.kernel import procfs
from probes.ladder.attachment import Attachment, Modules
from tests.support.namespaces import as_json, namespace
from tests.support.obstacles import LINUX
from tests.support.rungs import standing
from tests.support.scenarios import rows_of, sample_of

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
]


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


def test_every_counter_equals_nstat() -> None:
    ours = procfs.net_counters()
    theirs = as_json("nstat", "-a", "-s", "-z", "-j")["kernel"]
    known = ours.keys() & counters.ALL.keys()
    assert len(known) > 40
    for name in known:
        assert ours[name] == theirs[name], name


def test_datagrams_that_find_the_buffer_full_are_counted() -> None:
    """What was sent is what was read plus what UdpRcvbufErrors says."""
    with socket.socket(type=socket.SOCK_DGRAM) as to, socket.socket(type=socket.SOCK_DGRAM) as out:
        to.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        to.bind(("127.0.0.1", 0))
        to.setblocking(False)
        for _ in range(200):
            out.sendto(b"x" * 500, to.getsockname())
        read = 0
        while True:
            try:
                to.recv(1000)
            except BlockingIOError:
                break
            read += 1
    found = procfs.net_counters()
    assert 0 < read < 200
    assert found["UdpRcvbufErrors"] == found["UdpInErrors"] == 200 - read


# -- namespaces that come and go ---------------------------------------------------------------

_ONE = "ip link set lo up && echo x >/dev/udp/127.0.0.1/9 && echo && read"


def test_namespaces_that_have_gone_are_not_kept_for_good(
    modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they had goes on in a row for each counter: no sum goes back."""
    monkeypatch.setattr(Untraced, "MAX_NAMESPACES", 2)
    seen = []
    with namespace(), standing(modules, "drops", rung="counters") as attachment:
        seen.append(_unread(attachment))
        for _ in range(6):
            command = ("unshare", "-n", "bash", "-c", _ONE)
            with subprocess.Popen(command, stdin=-1, stdout=-1) as one:
                assert one.stdout is not None
                one.stdout.readline()
                seen.append(_unread(attachment))
            if LINUX < (5, 14):  # no cookie: the next may have the number of this one
                time.sleep(0.2)
                seen.append(_unread(attachment))
        until = time.monotonic() + 10  # a namespace is gone some time after its last process
        while len(seen[-1]) > 3 and time.monotonic() < until:
            seen.append(_unread(attachment))
    sums = [sum(rows.values()) for rows in seen]
    assert sums == sorted(sums)
    assert sums[-1] - sums[0] >= 5
    assert len(seen[-1]) <= 3, "two namespaces, and all others in one row"


def _unread(attachment: Attachment) -> dict[object, int]:
    """Return the datagrams to closed ports by row: namespace, or the others of a counter."""
    rows = rows_of(attachment, sample_of(attachment))
    return {(r["reason"], r["netns"]): r["packets"] for r in rows if r["location"] == "UdpNoPorts"}
