"""What connection tracking drops for want of an entry, counted beside who could not send."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from probes.kernel import sysctl
from probes.ladder.attachment import Attachment, Modules
from tests.support.namespaces import namespace, run
from tests.support.rungs import standing
from tests.support.scenarios import rows_of, sample_of

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
]

MOST, FREE = "net.netfilter.nf_conntrack_max", 40
RULES = """
table ip acme {
  chain c { type filter hook output priority 0; ct state new accept; }
}
"""


@contextmanager
def tracks_at_most(entries: int) -> Iterator[None]:
    """Bound the entries of each namespace: for the whole host, which has to have next to none."""
    count = sysctl.value("net.netfilter.nf_conntrack_count")
    before = sysctl.value(MOST)
    if count is None or before is None or int(count) > entries // 4:
        pytest.skip("connections are tracked on this host, or cannot be")
    run("sysctl", "-qw", f"{MOST}={entries}")
    try:
        yield
    finally:
        run("sysctl", "-qw", f"{MOST}={before}")


def test_packets_that_find_no_entry_are_counted_with_the_entries(modules: Modules) -> None:
    with tracks_at_most(FREE), namespace(), ExitStack() as open_now:
        done = subprocess.run(
            ["nft", "-f", "-"], input=RULES, capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"this kernel's nftables does not track: {done.stderr}")
        listener = open_now.enter_context(socket.create_server(("127.0.0.1", 0), backlog=FREE))
        for _ in range(FREE + 1):  # established connections stay, as nothing else may take theirs
            try:
                one = socket.create_connection(listener.getsockname(), 0.2)
            except OSError:
                break
            open_now.enter_context(one)
        with standing(modules, "drops") as attachment:
            before, refused = _dropped(attachment), _send_to_new_ports(25)
            row = _dropped(attachment)
    assert refused == 25
    assert row[0] - before[0] == refused
    assert row[1] >= FREE
    assert row[2] == FREE


def _send_to_new_ports(number: int) -> int:
    """Send a datagram each; return how many were refused (EPERM)."""
    refused = 0
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        for port in range(20000, 20000 + number):
            try:
                s.sendto(b"x", ("127.0.0.1", port))
            except PermissionError:
                refused += 1
    return refused


def _dropped(attachment: Attachment) -> tuple[int, int, int]:
    """Return packets, entries and how many there may be."""
    rows = rows_of(attachment, sample_of(attachment))
    row = next((r for r in rows if r["location"] == "ConntrackDrop"), None)
    return (row["packets"], row["waiting"], row["room"]) if row is not None else (0, 0, FREE)
