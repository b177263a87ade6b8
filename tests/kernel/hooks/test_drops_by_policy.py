"""What connection tracking and IPsec do not let through: whose, of which class, once each.

Beside nft's counters and the kernel's /proc/net/xfrm_stat.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from probes.analysis.classes import class_of
from probes.hooks import catalogue
from probes.ladder.attachment import Modules
from tests.support.drop_causes import ipv4, udp
from tests.support.namespaces import HERE, THERE, as_json, namespace, run, send, veth
from tests.support.rungs import standing
from tests.support.scenarios import values

pytestmark = pytest.mark.kernel
LADDER = [
    rung.name
    for rung in catalogue()["drops"].ladder
    if rung.source and "no-reason" not in rung.name
]
N = 7
FROM = b"\x02" * 6
PLAIN = ("ip", "xfrm", "policy", "add", "dir")
ESP = ("tmpl", "src", HERE, "dst", THERE, "proto", "esp", "mode", "transport")
Found = Counter[tuple[str, str]]
Added = Callable[[], Found]


@pytest.fixture(params=LADDER)
def added(modules: Modules, request: pytest.FixtureRequest) -> Iterator[Added]:
    """What was dropped since it was asked last, by interface and class, on a rung."""
    with namespace():
        veth()
        run("ip", "addr", "add", f"{HERE}/24", "dev", "v0")
        run("ip", "neigh", "add", THERE, "lladdr", FROM.hex(":"), "dev", "v0")
        with standing(modules, "drops", rung=request.param) as attachment:
            before: Found = Counter()

            def read() -> Found:
                nonlocal before
                now: Found = Counter()
                for r in values(attachment):
                    if r["netns"] is None and r["counts"] == "packets" and r["protocol"] != "igmp":
                        now[r["interface"], str(class_of(r))] += r["packets"]
                before, more = now, now - before
                return more

            read()
            yield read


def _frame(packet: bytes) -> bytes:
    (link,) = as_json("ip", "-j", "link", "show", "v0")
    return bytes.fromhex(link["address"].replace(":", "")) + FROM + packet


def _stray_segment() -> bytes:
    """An ACK of a connection that never was."""
    return struct.pack("!HHIIBBHHH", 4000, 99, 1, 77, 5 << 4, 0x10, 1000, 0, 0)


def _by_ipsec() -> Counter[str]:
    """What it refused, by the kernel's counter; those that are not zero."""
    try:
        text = Path("/proc/thread-self/net/xfrm_stat").read_text()
    except OSError:
        pytest.skip("this kernel is built without CONFIG_XFRM_STATISTICS")
    return Counter({k: int(n) for k, n in map(str.split, text.splitlines()) if int(n)})


def _until(added: Added, number: int) -> Found:
    """A veth takes packets in when its CPU comes to it."""
    found, deadline = added(), time.monotonic() + 5
    while found.total() < number and time.monotonic() < deadline:
        time.sleep(0.01)
        found += added()
    return found


@pytest.mark.parametrize("hook", ["input", "prerouting"])
def test_what_connection_tracking_does_not_know(added: Added, hook: str) -> None:
    run("nft", "add", "table", "inet", "t")
    run("nft", "add", "chain", "inet", "t", "c", f"{{ type filter hook {hook} priority 0; }}")
    run("nft", *["add", "rule", "inet", "t", "c", "ct", "state", "invalid", "counter", "drop"])
    # It is there once a rule has loaded the module.
    Path("/proc/sys/net/netfilter/nf_conntrack_tcp_loose").write_text("0")
    send("v1", N, _frame(ipv4(HERE, _stray_segment(), 6)))
    assert _until(added, N) == {("v0", "refusal"): N}
    (rule,) = [
        r["rule"] for r in as_json("nft", "-j", "list", "ruleset")["nftables"] if "rule" in r
    ]
    assert [e["counter"]["packets"] for e in rule["expr"] if "counter" in e] == [N]


@pytest.mark.parametrize("listening", [False, True])
@pytest.mark.parametrize("policy", ["esp", "block"])
def test_datagrams_that_no_policy_lets_in(added: Added, policy: str, listening: bool) -> None:
    """They are of one sender to one receiver: not such as are to all, which nobody waits for."""
    ends = ("in", "src", THERE, "dst", HERE)
    run(*PLAIN, *ends, *(ESP if policy == "esp" else ("action", "block")))
    with socket.socket(type=socket.SOCK_DGRAM) as receiver:
        receiver.bind((HERE, 0))
        port = receiver.getsockname()[1]
        if not listening:
            receiver.close()
        send("v1", N, _frame(ipv4(HERE, udp(port))))
        assert _until(added, N) == {("v0", "refusal"): N}
    name = "XfrmInTmplMismatch" if policy == "esp" else "XfrmInPolBlock"
    assert _by_ipsec() == {name: N}


def test_what_no_policy_lets_through(added: Added) -> None:
    for name in ("conf/v0/forwarding", "conf/all/forwarding"):
        Path("/proc/sys/net/ipv4", name).write_text("1")
    run("ip", "addr", "add", "198.18.0.1/24", "dev", "v1")
    run("ip", "neigh", "add", "198.18.0.2", "lladdr", FROM.hex(":"), "dev", "v1")
    run(*PLAIN, "fwd", "src", THERE, "dst", "198.18.0.2", "action", "block")
    send("v1", N, _frame(ipv4("198.18.0.2", udp(9))))
    assert _until(added, N) == {("v0", "refusal"): N}
    assert _by_ipsec() == {"XfrmInPolBlock": N}


def test_what_there_is_no_key_for_is_not_the_loopback_s(added: Added) -> None:
    """Its route leads nowhere by then, and the loopback stands for that."""
    run(*PLAIN, "out", "src", HERE, "dst", THERE, *ESP)
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        for _ in range(N):
            with suppress(OSError):
                s.sendto(b"x", (THERE, 9))
    assert _until(added, N) == {("-", "harm"): N}
    assert _by_ipsec() == {"XfrmOutNoStates": N}


def test_sealed_packets_that_there_is_no_key_for(added: Added) -> None:
    """Of ESP with an SPI that nobody agreed on. The key that is there is of another SPI."""
    key = ("auth", "digest_null", "", "enc", "cipher_null", "")
    add = ("ip", "xfrm", "state", "add", "src", THERE, "dst", HERE, "proto", "esp", "spi", "0x100")
    if subprocess.run((*add, *key), check=False, capture_output=True).returncode:
        pytest.skip("this kernel has no ESP")
    send("v1", N, _frame(ipv4(HERE, struct.pack("!II", 0x200, 1) + bytes(40), 50)))
    assert _until(added, N) == {("v0", "harm"): N}
    assert _by_ipsec() == {"XfrmInNoStates": N}


def test_broadcasts_that_nobody_listens_for_are_ordinary(added: Added) -> None:
    send("v1", N, b"\xff" * 6 + FROM + ipv4("192.0.2.255", udp(9)))
    assert _until(added, N) == {("v0", "ordinary"): N}
