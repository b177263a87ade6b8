"""Who was to have what a firewall drops: named if it was for this host, not otherwise."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from probes.hooks import catalogue
from probes.kernel import capabilities
from probes.ladder.attachment import Attachment, Modules
from probes.model import State
from tests.support.namespaces import HERE, THERE, namespace, pair, run, veth
from tests.support.scenarios import Values, values

pytestmark = pytest.mark.kernel

N, PORT = 7, 18125
LADDER = [rung.name for rung in catalogue()["drops"].ladder if rung.source]
ME = Path("/proc/self/comm").read_text().strip(), os.getpid()


@contextmanager
def _watched(modules: Modules, rung: str) -> Iterator[Attachment]:
    """A host beside another, with a socket at PORT, watched on one rung."""
    if capabilities.lockdown() == "confidentiality":
        pytest.skip("no program may follow a packet's route here")
    attachment = Attachment(catalogue()["drops"], modules)
    with namespace(), pair(), closing(socket.socket(type=socket.SOCK_DGRAM)) as receiver:
        receiver.bind(("0.0.0.0", PORT))
        if attachment.climb(pinned=rung).state is not State.ATTACHED:
            pytest.skip(f"{rung} does not attach here")
        try:
            yield attachment
        finally:
            attachment.detach()


def _filter(chain: str, hook: str) -> None:
    rules = f"add table inet t; add chain inet t {chain} {{ type filter hook {hook} ; }}; "
    rules += f"add rule inet t {chain} udp dport {PORT} counter drop"
    if subprocess.run(("nft", rules), check=False, capture_output=True).returncode:
        pytest.skip("no nftables here")


def _sent_here(to: str = HERE) -> None:
    """By the host beside."""
    name = f"beside-{os.getpid()}"
    sender = f"for i in $(seq {N}); do echo x > /dev/udp/{to}/{PORT}; done"
    run("ip", "netns", "exec", name, "bash", "-c", sender)


def _row(attachment: Attachment) -> Values:
    found = [row for row in values(attachment) if row["dport"] == PORT and row["netns"] is None]
    assert sum(row["packets"] for row in found) == N
    (row,) = found
    return row


def _holder(row: Values) -> tuple[str, int]:
    return row["comm"], row["pid"]


@pytest.mark.parametrize("rung", LADDER[:3])
def test_what_came_for_this_host_has_an_owner(modules: Modules, rung: str) -> None:
    with _watched(modules, rung) as drops:
        _filter("i", "input priority 0")
        _sent_here()
        row = _row(drops)
        assert (row["interface"], row["way"]) == ("v0", "in")
        assert _holder(row) == ME


@pytest.mark.parametrize(("forwards", "owner"), [("0", ME), ("1", ("", None))])
def test_what_was_not_routed_yet_has_one_if_nothing_is_sent_on(
    modules: Modules, forwards: str, owner: object
) -> None:
    with _watched(modules, LADDER[0]) as drops:
        Path("/proc/sys/net/ipv4/conf/v0/forwarding").write_text(forwards)
        _filter("p", "prerouting priority -300")
        _sent_here()
        row = _row(drops)
        assert row["way"] == "came"
        assert _holder(row) == owner


def test_what_is_sent_on_has_none(modules: Modules) -> None:
    with _watched(modules, LADDER[0]) as drops:
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        veth("d0", "d1")
        run("ip", "addr", "add", "198.51.100.1/24", "dev", "d0")
        run("ip", "-n", f"beside-{os.getpid()}", "route", "add", "default", "via", HERE)
        _filter("f", "forward priority 0")
        _sent_here("198.51.100.9")
        row = _row(drops)
        assert row["way"] == "through"
        assert _holder(row) == ("", None)


def _goes_out(s: socket.socket) -> None:
    for _ in range(N):
        with pytest.raises(PermissionError):
            s.sendto(b"x", (THERE, PORT))


@pytest.mark.parametrize("rung", LADDER[:3])
def test_what_goes_out_is_its_sender_s(modules: Modules, rung: str) -> None:
    with _watched(modules, rung) as drops:
        _filter("o", "output priority 0")
        with closing(socket.socket(type=socket.SOCK_DGRAM)) as s:
            _goes_out(s)
            row = _row(drops)
            until = time.monotonic() + 10  # a look for who has a socket is followed by a rest
            while _holder(row) != ME and time.monotonic() < until:
                time.sleep(0.1)
                row = _row(drops)
        assert row["way"] == "out"
        assert _holder(row) == ME


def test_what_goes_out_of_a_socket_that_has_gone_is_nobody_s(modules: Modules) -> None:
    """Nor that of who listens at this port here."""
    with _watched(modules, LADDER[0]) as drops:
        _filter("o", "output priority 0")
        with closing(socket.socket(type=socket.SOCK_DGRAM)) as s:
            _goes_out(s)
        row = _row(drops)
        assert row["way"] == "out"
        assert _holder(row) == ("", None)


def test_a_queue_that_stands_has_a_row(modules: Modules) -> None:
    """Of connections that nobody has accepted, and their listener."""
    with _watched(modules, LADDER[0]) as drops, closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        port = listener.getsockname()[1]
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(9)]
        found: list[Values] = []
        for _ in range(2):
            found = [row for row in values(drops) if row["location"] == "listener"]
        (row,) = [row for row in found if row["dport"] == port]
        assert (row["waiting"], row["room"], row["packets"]) == (9, 16, 0)
        assert _holder(row) == ME
        for one in held:
            one.close()
