"""Causes of drops, each with the stage of the funnel that it belongs to and the counter, not ours,
that has as many. All can be at work at once in one namespace, and none has another's packets."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.namespaces import FRAME, HERE, THERE, as_json, await_running, run, send, veth
from tests.support.out_of_order import checksum

INGRESS, EGRESS = 0x88B6, 0x88B7
"""EtherTypes that TC filters drop."""
BEYOND, BIG, NOWHERE = "198.51.100.9", "198.51.101.9", "203.0.113.77"
_FROM, _ELSEWHERE = bytes.fromhex("020000000002"), bytes.fromhex("0200000000ee")
_TTL = "nstat IpInHdrErrors less IpExtInCsumErrors"
_RULES = """
table ip t {
  counter prerouting {}
  counter input {}
  counter forward {}
  chain a { type filter hook prerouting priority 0; udp dport 11 counter name prerouting drop; }
  chain b { type filter hook input priority 0; udp dport 12 counter name input drop; }
  chain c { type filter hook forward priority 0; udp dport 14 counter name forward drop; }
}
table netdev t {
  counter ingress {}
  chain a { type filter hook ingress device v0 priority 0; udp dport 10 counter name ingress drop; }
}
"""


@dataclass(frozen=True, slots=True)
class Cause:
    """counter: of `counters`, "" where nothing but the sender counts. drop: so many packets."""

    name: str
    interface: str
    stage: str
    counter: str
    drop: Callable[[int], object]
    ordinary: bool = False


def counters() -> dict[str, int]:
    """What nstat, `ip -s`, `tc -s` and nft count in this namespace."""
    found = {f"nstat {k}": v for k, v in as_json("nstat", "-aszj")["kernel"].items()}
    found[_TTL] = found["nstat IpInHdrErrors"] - found["nstat IpExtInCsumErrors"]
    for link in as_json("ip", "-j", "-s", "link"):
        for way in ("rx", "tx"):
            found[f"ip {link['ifname']} {way}_dropped"] = link["stats64"][way]["dropped"]
    for qdisc in as_json("tc", "-s", "-j", "qdisc", "show"):
        if qdisc["kind"] == "clsact" or qdisc.get("root"):
            found[f"tc {qdisc['dev']} {qdisc['kind']}"] = qdisc["drops"]
    if shutil.which("nft"):
        for one in as_json("nft", "-j", "list", "counters")["nftables"]:
            if "counter" in one:
                found[f"nft {one['counter']['name']}"] = one["counter"]["packets"]
    return found


def ipv4(to: str, payload: bytes, protocol: int = 17, *, source: str = THERE, ttl: int = 64,
         flags: int = 0, broken: int = 0) -> bytes:  # fmt: skip
    ends = socket.inet_aton(source) + socket.inet_aton(to)
    about = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, flags, ttl, protocol, 0)
    total = checksum(about + ends) ^ broken
    return b"\x08\0" + about[:10] + struct.pack("!H", total) + ends + payload


def udp(port: int, data: bytes = b"x" * 18, check: int = 0) -> bytes:
    return struct.pack("!HHHH", 4000, port, 8 + len(data), check) + data


def _tcp(port: int, broken: int = 0) -> bytes:
    ends = socket.inet_aton(THERE) + socket.inet_aton(HERE)
    head = struct.pack("!HHIIBBHHH", 4000, port, 1, 0, 5 << 4, 2, 1000, 0, 0)
    total = checksum(ends + struct.pack("!HH", 6, len(head)) + head) ^ broken
    return head[:16] + struct.pack("!H", total) + head[18:]


@contextmanager
def ready() -> Iterator[tuple[Cause, ...]]:
    """Devices, addresses, rules and filters, in a namespace of one's own."""
    with ExitStack() as stack:
        for one, other in (("v0", "v1"), ("w0", "w1"), ("x0", "x1")):
            veth(one, other)
        mac = _address("v0")
        for name, value in (("v0/rp_filter", 1), ("all/rp_filter", 0), ("v0/forwarding", 1)):
            Path("/proc/sys/net/ipv4/conf", name).write_text(str(value))
        run("ip", "addr", "add", f"{HERE}/24", "dev", "v0")
        run("ip", "neigh", "add", THERE, "lladdr", _FROM.hex(":"), "dev", "v0")
        run("ip", "addr", "add", "198.18.0.1/24", "dev", "x0")
        run("ip", "neigh", "add", "198.18.0.2", "lladdr", _FROM.hex(":"), "dev", "x0")
        for network, more in ((BEYOND, ()), (BIG, ("mtu", "600"))):
            run("ip", "route", "add", f"{network}/32", "via", THERE, "dev", "v0", *more)
        run("tc", "qdisc", "add", "dev", "w0", "root", "tbf",
            "rate", "8bit", "burst", "600", "limit", "1000")  # fmt: skip
        _filter("v0", "ingress", INGRESS)
        _filter("v1", "egress", EGRESS)
        run("ip", "link", "set", "x1", "down")
        await_running("x0", running=False)
        nft = _nft()
        full = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        full.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
        full.bind((HERE, 15))
        _by_v1(mac, ipv4(HERE, udp(15, b"x" * 500)))(40)
        _by("w0", FRAME)(40)
        yield tuple(c for c in _causes(mac) if nft or not c.counter.startswith("nft"))


def _address(interface: str) -> bytes:
    (link,) = as_json("ip", "-j", "link", "show", "dev", interface)
    return bytes.fromhex(link["address"].replace(":", ""))


def _nft() -> bool:
    """Whether rules could be made: not where there is no nft, or no nf_tables in the kernel."""
    if not shutil.which("nft"):
        return False
    done = subprocess.run(("nft", "-f", "-"), input=_RULES, text=True, capture_output=True)
    kernel = any(words in done.stderr for words in ("not supported", "Unable to initialize"))
    assert done.returncode == 0 or kernel, done.stderr
    return done.returncode == 0


def _filter(device: str, direction: str, ethertype: int) -> None:
    """Classic BPF that answers TC_ACT_SHOT for one EtherType, else TC_ACT_OK."""
    code = f"4,40 0 0 12,21 0 1 {ethertype},6 0 0 2,6 0 0 0,"
    run("tc", "qdisc", "add", "dev", device, "clsact")
    run("tc", "filter", "add", "dev", device, direction, "bpf", "da", "bytecode", code)


def _by(interface: str, frame: bytes) -> Callable[[int], object]:
    return lambda number: send(interface, number, frame)


def _by_v1(to: bytes, packet: bytes) -> Callable[[int], object]:
    return _by("v1", to + _FROM + packet)


def _frame(ethertype: int) -> bytes:
    return FRAME[:12] + struct.pack("!H", ethertype) + FRAME[14:]


def _without_carrier(number: int) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        for _ in range(number):
            s.sendto(b"x", ("198.18.0.2", 9))


def _causes(mac: bytes) -> Iterator[Cause]:
    def received(name: str, stage: str, counter: str, packet: bytes) -> Cause:
        return Cause(name, "v0", stage, counter, _by_v1(mac, packet))

    yield received("closed UDP port", "socket", "nstat UdpNoPorts", ipv4(HERE, udp(9)))
    yield received("closed TCP port", "socket", "nstat TcpOutRsts", ipv4(HERE, _tcp(9), 6))
    yield received(
        "receive buffer full", "socket", "nstat UdpRcvbufErrors", ipv4(HERE, udp(15, b"x" * 500))
    )
    yield received(
        "wrong UDP checksum", "socket", "nstat UdpInCsumErrors", ipv4(HERE, udp(9, check=1))
    )
    yield received(
        "wrong TCP checksum", "socket", "nstat TcpInCsumErrors", ipv4(HERE, _tcp(9, 5), 6)
    )
    for hook, port, to in (("ingress", 10, HERE), ("prerouting", 11, HERE), ("input", 12, HERE)):
        yield received(f"nft {hook}", "stack", f"nft {hook}", ipv4(to, udp(port)))
    yield received("nft forward", "stack", "nft forward", ipv4(BEYOND, udp(14)))
    yield received(
        "reverse path", "stack", "nstat TcpExtIPReversePathFilter",
        ipv4(HERE, udp(9), source="203.0.113.9"),
    )  # fmt: skip
    yield received("martian source", "stack", "", ipv4(HERE, udp(9), source="127.0.0.1"))
    yield received(
        "wrong IP checksum", "stack", "nstat IpExtInCsumErrors", ipv4(HERE, udp(9), broken=5)
    )
    yield received("TTL over", "stack", _TTL, ipv4(BEYOND, udp(9), ttl=1))
    yield received("no route in", "stack", "nstat IpExtInNoRoutes", ipv4(NOWHERE, udp(9)))
    yield received(
        "too big, not to be cut", "stack", "nstat IpFragFails",
        ipv4(BIG, udp(9, b"x" * 1200), flags=0x4000),
    )  # fmt: skip
    yield received(
        "unknown IP protocol", "stack", "nstat IpInUnknownProtos", ipv4(HERE, b"x" * 20, 200)
    )
    yield Cause("unknown EtherType", "v0", "stack", "ip v0 rx_dropped", _by("v1", FRAME))
    yield Cause("TC ingress", "v0", "tc-ingress", "tc v0 clsact", _by("v1", _frame(INGRESS)))
    yield Cause("TC egress", "v1", "tc-egress", "tc v1 clsact", _by("v1", _frame(EGRESS)))
    yield Cause("queue full", "w0", "qdisc", "tc w0 tbf", _by("w0", FRAME))
    yield Cause("no carrier", "x0", "wire", "ip x0 tx_dropped", _without_carrier)
    elsewhere = _by_v1(_ELSEWHERE, ipv4(HERE, udp(9)))
    yield Cause("for another host", "v0", "stack", "", elsewhere, ordinary=True)
