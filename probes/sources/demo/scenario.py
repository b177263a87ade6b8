"""The demo's script as data: processes on the host, how busy they are, and what goes wrong when.

Every rate is a function of the second within a lap; `Script` adds them up, so that any moment's
cumulative counters are known without playing what was before.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

from probes.analysis.errnos import ErrnoClass, errno_meaning
from probes.errors import Busy, ProbeError
from probes.model import Value
from probes.sources.demo import flood, owners, processes, programs
from probes.sources.demo.flood import Sender
from probes.sources.demo.lifetimes import Lifetimes, Lived
from probes.sources.demo.programs import PROGRAMS, Played

LAP = 120  # seconds until the incident comes again
NS_BUCKETS, US_BUCKETS = 40, 26
Values = dict[str, Value]
Rate = Callable[[int], float]


class PlayedInterface(NamedTuple):
    """An interface, its normal traffic and what the incident does to it."""

    ifindex: int
    name: str
    kind: str
    mtu: int
    rx: float  # packets a second, and bytes a packet
    tx: float
    rx_size: int
    tx_size: int


INTERFACES = (
    PlayedInterface(1, "lo", "loopback", 65536, 340, 340, 410, 410),
    PlayedInterface(2, "eth0", "physical", 1500, 4200, 3900, 890, 620),
    PlayedInterface(3, "eth1", "physical", 9000, 9800, 2100, 1310, 140),
    PlayedInterface(4, "br0", "bridge", 1500, 610, 580, 480, 510),
    PlayedInterface(5, "veth3f2a1c", "veth", 1500, 320, 300, 520, 470),
    PlayedInterface(6, "veth90b7de", "veth", 1500, 190, 210, 430, 560),
)
_NUMBERS = {i.name: i.ifindex for i in INTERFACES}
NO_NATIVE = frozenset({"eth0", "lo", "br0"})
REFUSED: dict[str, ProbeError] = {
    f"xdp@{f.interface}": Busy(
        f"{f.title} ({f.mode}) is already attached to {f.interface}",
        errno=errno.EBUSY,
        remedy=f"If it is not needed: ip link set dev {f.interface} xdp off",
    )
    for f in flood.XDP
}


class Syscall(NamedTuple):
    """A system call and how often it is made and fails."""

    name: str
    rate: float
    errors: float  # share that fails
    errno: str
    mean_ns: float


SYSCALLS = (
    Syscall("epoll_wait", 2900, 0, "-", 3_100_000),
    Syscall("read", 2600, 0.021, "EAGAIN", 2_300),
    Syscall("futex", 2400, 0.11, "EAGAIN", 410_000),
    Syscall("write", 1800, 0.001, "EPIPE", 3_900),
    Syscall("recvfrom", 1500, 0.24, "EAGAIN", 1_900),
    Syscall("sendto", 1300, 0.001, "EAGAIN", 9_800),
    Syscall("clock_nanosleep", 410, 0, "-", 10_100_000),
    Syscall("openat", 380, 0.06, "ENOENT", 6_200),
    Syscall("close", 370, 0, "-", 900),
    Syscall("newfstatat", 340, 0.04, "ENOENT", 1_700),
    Syscall("poll", 310, 0, "-", 5_200_000),
    Syscall("mmap", 140, 0, "-", 4_100),
    Syscall("munmap", 130, 0, "-", 7_300),
    Syscall("getdents64", 95, 0, "-", 5_600),
    Syscall("ioctl", 90, 0.3, "ENOTTY", 1_100),
    Syscall("connect", 55, 0.05, "EINPROGRESS", 71_000),
    Syscall("accept4", 50, 0.2, "EAGAIN", 8_400),
    Syscall("socket", 48, 0, "-", 5_900),
    Syscall("pread64", 44, 0, "-", 88_000),
    Syscall("fsync", 21, 0, "-", 3_900_000),
    Syscall("pwrite64", 20, 0, "-", 21_000),
    Syscall("wait4", 12, 0.4, "ECHILD", 2_200),
    Syscall("clone3", 6, 0, "-", 61_000),
    Syscall("execve", 4, 0.25, "ENOENT", 310_000),
    Syscall("unlinkat", 3, 0.1, "ENOENT", 12_000),
    Syscall("bpf", 2, 0, "-", 2_900),
)
CALLERS = (
    ("nginx", 1184, 0.34),
    ("checkout", 2311, 0.27),
    ("postgres", 977, 0.18),
    ("node_exporter", 802, 0.12),
    ("kubelet", 655, 0.06),
    ("sshd", 30118, 0.03),
)
CALLERS_OF = {
    "fsync": (("rsyslogd", 811, 0.8), ("postgres", 977, 0.2)),
    "openat": (
        ("nginx", 1184, 0.82),
        ("checkout", 2311, 0.1),
        ("kubelet", 655, 0.05),
        ("sshd", 30118, 0.03),
    ),
}
"""Callers of calls that others hardly make."""


ADDRESSES = {"lo": "127.0.0.1 ::1", "eth0": "10.0.0.2 2001:db8::2", "eth1": "192.0.2.10"}
"""Addresses of interfaces; the connections of this script are eth0's."""


class Client(NamedTuple):
    """A process that connects to a server. troubled: in the incident."""

    comm: str
    pid: int
    raddr: str
    rport: int
    rate: float
    mean_us: float
    troubled: bool = False


CLIENTS = (
    Client("checkout", 2311, "10.0.0.5", 5432, 14, 380, True),
    Client("billing", 2390, "10.0.0.5", 5432, 3.2, 390, True),
    Client("nginx", 1184, "10.0.1.21", 8080, 12, 210),
    Client("nginx", 1184, "10.0.1.22", 8080, 11, 230),
    Client("nginx", 1185, "10.0.1.23", 8080, 4, 240),
    Client("curl", 30561, "93.184.216.34", 443, 0.6, 24_000),
    Client("prometheus", 1420, "10.0.2.11", 9100, 1, 510),
    Client("prometheus", 1420, "10.0.2.12", 9100, 1, 530),
    Client("prometheus", 1420, "10.0.2.13", 9100, 1, 490),
    Client("kubelet", 655, "10.96.0.1", 443, 0.8, 620),
    Client("fluent-bit", 1702, "10.0.3.40", 24224, 0.7, 700),
    Client("redis-cli", 30602, "10.0.0.9", 6379, 2.4, 190),
    Client("sidekiq", 2502, "10.0.0.9", 6379, 6, 180),
    Client("postfix", 1011, "198.51.100.25", 25, 0.3, 41_000),
    Client("apt", 30702, "2a04:4e42:200::644", 80, 0.2, 16_000),
    Client("chronyd", 498, "2001:db8::123", 4460, 0.1, 33_000),
    Client("rsync", 30400, "203.0.113.77", 873, 0.2, 18_500),
    Client("consul", 1330, "10.0.4.2", 8300, 0.9, 450),
    Client("python3", 2815, "10.0.0.12", 9200, 1.6, 820),
    Client("java", 2044, "10.0.0.31", 9092, 2.1, 640),
)


class PlayedConnection(NamedTuple):
    """A TCP connection and its round trip."""

    cookie: int
    local: str
    lport: int
    raddr: str
    rport: int
    comm: str
    pid: int
    rtt_us: float
    rate: float
    troubled: bool = False


def _connections() -> Iterator[PlayedConnection]:
    yield PlayedConnection(
        4101, "10.0.0.2", 51724, "203.0.113.77", 873, "rsync", 30400, 18_400, 42, True
    )
    yield PlayedConnection(4099, "10.0.0.2", 22, "198.51.100.7", 61022, "sshd", 30118, 31_000, 3)
    for n, client in enumerate(CLIENTS * 2):
        if n < 29 and client.comm != "rsync":
            local = "2001:db8::2" if ":" in client.raddr else "10.0.0.2"
            yield PlayedConnection(
                4110 + n, local, 40112 + 37 * n, client.raddr, client.rport, client.comm,
                client.pid, client.mean_us * (0.9 + n % 5 * 0.07), client.rate * 2 + 0.5,
            )  # fmt: skip


CONNECTIONS = tuple(_connections())


class PlayedDrop(NamedTuple):
    """Drops of the kernel at one place, in packets a second."""

    interface: str
    reason: str
    location: str
    protocol: str
    port: int | None
    rate: float
    troubled: float = 0


def _holder(drop: PlayedDrop) -> Values:
    """Return who holds the socket that it was for."""
    if drop.reason != "SOCKET_RCVBUFF":
        return {"comm": "", "pid": None}
    return {"comm": "rsyslogd", "pid": 811}


DROPS = (
    PlayedDrop(
        "eth1", "SOCKET_RCVBUFF", "__udp_enqueue_schedule_skb+0x1f1", "udp", 514, 0.2, flood.SOCKET
    ),
    PlayedDrop("eth1", "NO_SOCKET", "__udp4_lib_rcv+0x39c", "udp", 8125, 1.4, 60),
    PlayedDrop("eth0", "NO_SOCKET", "tcp_v4_rcv+0x5d2", "tcp", 23, 2.1),
    PlayedDrop("eth0", "NETFILTER_DROP", "nf_hook_slow+0xa6", "tcp", 3389, 0.4),
    PlayedDrop("br0", "UNHANDLED_PROTO", "__netif_receive_skb_core+0xc11", "lldp", None, 0.3),
    PlayedDrop("-", "TCP_OLD_ACK", "tcp_validate_incoming+0x2e0", "tcp", 5432, 0.2, 4),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """A hook's state in the demo. refusals: error, why and remedy of the ladder's first rungs.

    rungs: their names where the catalogue has none. on: the targets that were refused, None: all.
    runs, ns: program runs a second, and what one costs.
    """

    rungs: tuple[str, ...]
    refusals: tuple[tuple[str, str, str], ...] = ()
    on: frozenset[str] | None = None
    passive: bool = False
    note: str = ""
    runs: float = 0
    ns: float = 0


_POLICY = (
    "EPERM",
    "programs at the kernel's own functions (fentry) are blocked here by policy",
    "allow BPF_PROG_TYPE_TRACING in the host's security policy; the rungs below need nothing",
)
_NO_KPROBES = (
    "ENOENT",
    "this kernel is built without kprobes",
    "boot a kernel with CONFIG_KPROBES=y; the rungs below need nothing",
)
_NO_NATIVE = (
    "EOPNOTSUPP",
    "the driver has no native XDP",
    "",
)
PLANS = {
    "interfaces": Plan(("netlink",), passive=True),
    "xdp": Plan(("link native", "link generic"), (_NO_NATIVE,), NO_NATIVE, runs=9000, ns=41),
    "tc-ingress": Plan(("tcx", "clsact"), runs=3000, ns=62),
    "tc-egress": Plan(("tcx", "clsact"), runs=2400, ns=58),
    "xdp-programs": Plan(("fexit", "runs", "netlink"), runs=20000, ns=58),
    "tc-programs": Plan(("fexit", "around", "runs", "netlink"), runs=18000, ns=61),
    "sources": Plan(("tcx", "clsact", "packet-socket"), runs=12000, ns=143),
    "qdiscs": Plan(("netlink",), passive=True),
    "drops": Plan(("tp_btf", "raw_tp", "tracepoint"), runs=40, ns=840),
    "syscalls": Plan(("raw_tp", "tracepoint"), runs=31000, ns=94),
    "execs": Plan(("tracepoint",), runs=9, ns=2100),
    "exits": Plan(("btf-tracepoint", "raw-tracepoint", "tracepoint"), runs=4, ns=1800),
    "syscall-processes": Plan(("raw_tp", "tracepoint"), runs=2400, ns=130),
    "tcp-connect": Plan(("fentry", "kprobe", "tp_btf"), (_POLICY, _NO_KPROBES), runs=130, ns=920),
    "programs": Plan(("ids", "own")),
    "tcp-rtt": Plan(("sock_ops-iter", "sock_ops-link", "sock_diag"), runs=420, ns=310),
}


def swell(begin: float, top: float, fall: float, end: float) -> Rate:
    """Return 0 before begin, 1 between top and fall, 0 from end on, linear in between."""

    def level(second: int) -> float:
        if second <= begin or second >= end:
            return 0.0
        if second < top:
            return (second - begin) / (top - begin)
        return 1.0 if second <= fall else (end - second) / (end - fall)

    return level


dropping = swell(22, 34, 62, 74)
refusing = swell(25, 28, 44, 47)
silent = swell(45, 48, 64, 70)
slow = swell(26, 52, 74, 90)


Distribution = tuple[tuple[int, float], ...]
"""Bucket and share, of those that are hit."""


@lru_cache(1024)
def _distribution(mean: float, buckets: int) -> Distribution:
    """Return how events with this mean spread over log2 buckets.

    A hump, with a longer upper tail.
    """
    centre = max(int(mean).bit_length() - 1, 2)
    spread = {-2: 0.06, -1: 0.24, 0: 0.45, 1: 0.19, 2: 0.045, 3: 0.015}
    hits = dict[int, float]()
    for offset, share in spread.items():
        bucket = min(max(centre + offset, 0), buckets - 1)
        hits[bucket] = hits.get(bucket, 0.0) + share
    return tuple(hits.items())


class Script:
    """A sum of rates. Everything is from `since` to `time`, in seconds of virtual time."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._sums: dict[str, list[float]] = {}
        self.lived = Lifetimes()

    def rows(self, hook: str, target: str | None, since: float, time: float) -> list[Values]:
        name = hook.replace("-", "_")
        rows: list[Values] = list(getattr(self, f"_{name}")(target, since, time))
        return rows

    def cost(self, hook: str, target: str | None, since: float, time: float) -> tuple[float, float]:
        """Return program runs, and nanoseconds for each."""
        plan = PLANS[hook]
        if target is None or not any(i.name == target for i in INTERFACES):
            runs = self._sum(f"runs {hook}@{target}", lambda _: plan.runs, since, time, 0.1)
        else:
            _, rx, tx = self._behind_xdp(target, since, time)
            runs = tx if hook == "tc-egress" else rx
        return runs, plan.ns

    def log(self, since: float, time: float) -> list[Values]:
        """Return connects that were decided between the two moments, a few for each client."""
        events: list[Values] = []
        for c in CLIENTS:
            before = self._client(c, 0, max(since, 0))
            after = self._client(c, 0, time)
            for result in ("established", "refused", "timed_out"):
                for _ in range(min(int(after[result]) - int(before[result]), 2)):
                    ns = int(c.mean_us * 1000) if result != "timed_out" else 3_070_000_000
                    events.append(
                        {"pid": c.pid, "comm": c.comm, "raddr": c.raddr, "rport": c.rport,
                         "result": result.replace("_", " "), "ns": ns}
                    )  # fmt: skip
        random.Random(f"{self._seed} log {time}").shuffle(events)
        return events

    def _sum(self, name: str, rate: Rate, since: float, time: float, noise: float = 0.15) -> float:
        """Return what a rate adds up to between two moments; `name` seeds its noise."""
        sums = self._sums.get(name)
        if sums is None:
            dice = random.Random(f"{self._seed} {name}")
            sums = [0.0]
            for second in range(LAP):
                sums.append(sums[-1] + rate(second) * (1 + dice.uniform(-noise, noise)))
            self._sums[name] = sums
        return _until(sums, time) - _until(sums, since)

    def _interfaces(self, _: str | None, __: float, time: float) -> Iterator[Values]:
        """Return the kernel's own counters, which go on from boot."""
        for i in INTERFACES:
            rx, tx = self._traffic(i, -9000, time)
            missed = self._missed(i, time)
            theirs = flood.xdp_on(i.name)
            yield {
                "ifindex": i.ifindex, "made": 0, "interface": i.name, "kind": i.kind, "mtu": i.mtu,
                "state": "unknown" if i.name == "lo" else "up",
                "driver": "ixgbe" if i.kind == "physical" else i.kind,
                "addresses": ADDRESSES.get(i.name, ""), "altnames": "", **owners.peer_of(i.name),
                "frames": 0, "whole": 1, "joins": 0,
                "rx_packets": int(rx), "tx_packets": int(tx),
                "rx_bytes": int(rx * i.rx_size), "tx_bytes": int(tx * i.tx_size),
                "rx_dropped": int(missed * 0.15), "tx_dropped": 0, "rx_errors": 0, "tx_errors": 0,
                "rx_missed": int(missed),
                "carrier_changes": 1,
                "xdp_mode": theirs.mode if theirs else "none",
                "xdp_program": theirs.title if theirs else "",
            }  # fmt: skip

    def _missed(self, i: PlayedInterface, time: float) -> float:
        """Return the packets for which its ring had no space."""
        if i.name != "eth1":
            return 0.0
        return self._sum("missed eth1", lambda s: 47 * dropping(s), -9000, time)

    def _traffic(self, i: PlayedInterface, since: float, time: float) -> tuple[float, float]:
        surge = 1.0 if i.name == "eth1" else 0.0
        rx = self._sum(f"rx {i.name}", lambda s: i.rx * (1 + surge * dropping(s)), since, time)
        return rx, self._sum(f"tx {i.name}", lambda _: i.tx, since, time)

    def _one(
        self, target: str | None, since: float, time: float
    ) -> tuple[PlayedInterface, float, float]:
        i = next(i for i in INTERFACES if i.name == target)
        return i, *self._traffic(i, since, time)

    def _behind_xdp(
        self, target: str | None, since: float, time: float
    ) -> tuple[PlayedInterface, float, float]:
        """Return the same as `_one`, without what the foreign XDP program drops."""
        i, rx, tx = self._one(target, since, time)
        return i, rx - self._filtered(i.name, since, time), tx

    def _filtered(self, interface: str, since: float, time: float) -> float:
        f = flood.xdp_on(interface)
        if f is None or f.mode != "native":
            return 0.0
        rate = flood.FLOOD * flood.BLOCKED
        return self._sum(f"by {f.title}", lambda s: rate * dropping(s), since, time)

    def _xdp(self, target: str | None, since: float, time: float) -> Iterator[Values]:
        i, rx, _ = self._one(target, since, time)
        verdicts = {"aborted": 0.0, "drop": 0.0, "pass": rx, "tx": 0.0, "redirect": 0.0}
        yield {
            "ifindex": i.ifindex, "interface": i.name, "program": "ebpftop_xdp", "program_id": 731,
            **{v: int(n) for v, n in verdicts.items()},
            **{f"{v}_bytes": int(n * i.rx_size) for v, n in verdicts.items()},
            "bytes": int(rx * i.rx_size),
        }  # fmt: skip

    def _tc_ingress(self, target: str | None, since: float, time: float) -> Iterator[Values]:
        i, rx, _ = self._behind_xdp(target, since, time)
        yield self._tc(i, rx, i.rx_size)

    def _tc_egress(self, target: str | None, since: float, time: float) -> Iterator[Values]:
        i, _, tx = self._one(target, since, time)
        yield self._tc(i, tx, i.tx_size)

    @staticmethod
    def _tc(i: PlayedInterface, packets: float, size: int) -> Values:
        return {
            "ifindex": i.ifindex, "interface": i.name, "packets": int(packets),
            "skbs": int(packets), "bytes": int(packets * size), "dropped": 0,
        }  # fmt: skip

    def _drop(self, d: PlayedDrop, since: float, time: float) -> float:
        return self._sum(
            f"drop {d.interface} {d.reason}",
            lambda s: d.rate + d.troubled * dropping(s),
            since,
            time,
        )

    def _socket(self, d: PlayedDrop, since: float, time: float) -> float:
        """Return the kernel's drops, without what rules dropped of the flood before."""
        spared = 0.0
        if d.troubled == flood.SOCKET and self.lived:
            senders = [s for s in flood.SENDERS if s.flood]
            every = sum(s.rate for s in senders)
            name, drop = f"drop {d.interface} {d.reason}", partial(self._drop, d)
            for s in senders:
                spared += self.lived.stopped(s, name, drop, since, time) * s.rate / every
        return self._drop(d, since, time) - spared

    def _sent(self, s: Sender, since: float, time: float) -> float:
        name = f"from {s.saddr} to {s.interface} {s.dport}"
        return self._sum(name, lambda t: s.rate * (dropping(t) if s.flood else 1), since, time)

    def _stopped(self, s: Sender, since: float, time: float) -> float:
        """Return what rules dropped of what was sent."""
        return self.lived.stopped(s, "sent", partial(self._sent, s), since, time)

    def hits(self, one: Lived, time: float) -> tuple[int, int]:
        """Return packets and bytes that a rule has dropped by that moment."""
        packets = octets = 0.0
        for s in one.senders:
            sent = one.amount(partial(self._sent, s), time)
            packets, octets = packets + sent, octets + sent * s.size
        return int(packets), int(octets)

    def _sources(self, target: str | None, since: float, time: float) -> Iterator[Values]:
        for s in flood.SENDERS:
            if s.interface != target:
                continue
            gone = self._stopped(s, since, time)
            if packets := int(self._sent(s, since, time) - gone):
                yield {
                    "interface": s.interface, "saddr": s.saddr, "protocol": s.protocol,
                    "dport": s.dport, "packets": packets, "bytes": packets * s.size, "fragments": 0,
                }  # fmt: skip

    def _xdp_programs(self, _: str | None, since: float, time: float) -> Iterator[Values]:
        for f in flood.XDP:
            i, rx, _tx = self._one(f.interface, since, time)
            dropped = self._filtered(f.interface, since, time)
            yield flood.xdp_values(f, rx, dropped, i.rx_size)

    def _qdiscs(self, _: str | None, __: float, time: float) -> Iterator[Values]:
        for i in INTERFACES:
            if i.kind == "physical":
                _rx, tx = self._traffic(i, -9000, time)
                full = self._sum(f"queue {i.name}", lambda _: 0.4, -9000, time)
                yield {
                    "ifindex": i.ifindex, "made": 0, "interface": i.name, "kind": "fq_codel",
                    "handle": "0:",
                    "parent": "root", "packets": int(tx), "bytes": int(tx * i.tx_size),
                    "dropped": int(full), "overlimits": 0, "requeues": int(full / 3),
                    "backlog": 0, "queued": 0,
                }  # fmt: skip

    def _tc_programs(self, _: str | None, since: float, time: float) -> Iterator[Values]:
        for f in flood.TC:
            i, rx, tx = self._behind_xdp(f.interface, since, time)
            inwards = f.direction == "ingress"
            yield flood.tc_values(f, rx if inwards else tx, i.rx_size if inwards else i.tx_size)

    def _programs(self, _: str | None, since: float, time: float) -> Iterator[Values]:
        runs = {p.id: self._runs(p, since, time) for p in PROGRAMS}
        missed = {
            p.id: self._sum(f"missed {p.id}", lambda s, m=p.missed: m * slow(s), since, time)  # type: ignore[misc]
            for p in PROGRAMS
        }
        yield from programs.rows(runs, missed, time - since)

    def _runs(self, p: Played, since: float, time: float) -> float:
        if not p.follows:
            calm, busy = p.rate
            rate = lambda s: calm + (busy - calm) * slow(s)  # noqa: E731
            return self._sum(f"runs {p.id}", rate, since, time)
        interface, _, which = p.follows.partition(" ")
        _i, rx, tx = self._one(interface, since, time)
        if which == "behind":
            return self._behind_xdp(interface, since, time)[1]
        return tx if which == "tx" else rx

    def _drops(self, _: str | None, since: float, time: float) -> Iterator[Values]:
        for d in DROPS:
            if packets := int(self._socket(d, since, time)):
                yield {
                    "interface": d.interface, "reason": d.reason, "location": d.location,
                    "packets": packets, "protocol": d.protocol, "dport": d.port,
                    "trait": "-", **_holder(d), "counts": "packets", "netns": None,
                    "ifindex": _NUMBERS.get(d.interface, 0), "device": 0,
                    "way": "in", "waiting": None, "room": None,
                }  # fmt: skip
        yield from self._at_tc(since, time)

    def _at_tc(self, since: float, time: float) -> Iterator[Values]:
        """Return what programs at TC and our rules drop there, as the kernel frees it."""
        found: dict[tuple[str, str, int | None], float] = {}
        for f in flood.TC:
            if f.drop:
                _i, rx, _tx = self._behind_xdp(f.interface, since, time)
                found[f.interface, "tcp", 9443] = rx * f.drop
        for s in flood.SENDERS:
            if flood.xdp_on(s.interface):
                key = s.interface, s.protocol, s.dport
                found[key] = found.get(key, 0) + self._stopped(s, since, time)
        for (interface, protocol, port), packets in found.items():
            if packets >= 1:
                yield {
                    "interface": interface, "reason": "TC_INGRESS",
                    "location": "__netif_receive_skb_core+0x8d4", "packets": int(packets),
                    "protocol": protocol, "dport": port,
                    "trait": "-", "comm": "", "pid": None, "counts": "packets", "netns": None,
                    "ifindex": _NUMBERS.get(interface, 0), "device": 0,
                    "way": "came", "waiting": None, "room": None,
                }  # fmt: skip

    def _syscalls(self, _: str | None, since: float, time: float) -> Iterator[Values]:
        for s in SYSCALLS:
            yield {"syscall": s.name, **self._calls(s, 1.0, since, time)}

    def _syscall_processes(self, target: str | None, since: float, time: float) -> Iterator[Values]:
        for syscall in (s for s in SYSCALLS if s.name == target):
            for comm, pid, share in CALLERS_OF.get(syscall.name, CALLERS):
                calls = self._calls(syscall, share, since, time)
                if calls["calls"]:
                    yield {"pid": pid, "comm": comm, "errno": calls["worst_errno"], **calls}

    def _execs(self, _: str | None, since: float, time: float) -> Iterator[Values]:
        return processes.starts(partial(self._steady, since, time))

    def _exits(self, _: str | None, since: float, time: float) -> Iterator[Values]:
        return processes.ends(partial(self._steady, since, time))

    def _steady(self, since: float, time: float, name: str, rate: float) -> float:
        return self._sum(name, lambda _: rate, since, time)

    def _calls(self, s: Syscall, share: float, since: float, time: float) -> Values:
        calls = self._sum(f"calls {s.name}", lambda _: s.rate, since, time) * share
        trouble = {"connect": 0.75, "openat": 0.45}.get(s.name, 0.0)
        hurt = self._sum(
            f"errors {s.name}",
            lambda t: s.rate * (s.errors + trouble * max(refusing(t), silent(t))),
            since,
            time,
        )
        stalled = self._sum(
            f"stalled {s.name}", lambda t: s.rate * slow(t) * (s.name == "fsync"), since, time
        )
        late = stalled * share
        usual, worst = (
            _distribution(s.mean_ns, NS_BUCKETS),
            _distribution(s.mean_ns * 40, NS_BUCKETS),
        )
        errno = _most(s, hurt, since, time, calls / share)
        failed = self._failed(s, hurt, since, time) * share
        wrong = failed and not _is_ordinary(s.name, errno)
        return {
            "calls": int(calls),
            "errors": min(int(hurt * share), int(calls)),
            "top_errno": errno,
            "top_share": 100.0,
            "failures": int(failed),
            "worst_errno": errno if wrong else None,
            "worst_share": 100.0 if wrong else None,
            "total_ns": int((calls - late) * s.mean_ns + late * s.mean_ns * 40),
            "latency": _histogram(NS_BUCKETS, (max(calls - late, 0), usual), (late, worst)),
        }

    def _failed(self, s: Syscall, errors: float, since: float, time: float) -> float:
        """Return how many of a call's errors are no ordinary answers."""
        if not _is_ordinary(s.name, s.errno):
            return errors
        if s.name != "connect":
            return 0.0
        return self._sum(
            "failed connect", lambda t: s.rate * 0.75 * max(refusing(t), silent(t)), since, time
        )

    def _client(self, c: Client, since: float, time: float) -> dict[str, float]:
        """Return attempts by how they ended."""
        name = f"{c.comm} {c.pid} {c.raddr}"
        hit = 1.0 if c.troubled else 0.0

        def share(result: str, second: int) -> float:
            no, mute = hit * refusing(second), hit * 0.6 * silent(second)
            return {"refused": no, "timed_out": mute, "established": max(1 - no - mute, 0)}[result]

        return {
            r: self._sum(f"{r} {name}", lambda s, r=r: c.rate * share(r, s), since, time)  # type: ignore[misc]
            for r in ("established", "refused", "timed_out")
        }

    def _tcp_connect(self, _: str | None, since: float, time: float) -> Iterator[Values]:
        for c in CLIENTS:
            n = self._client(c, since, time)
            refused, timed_out, good = int(n["refused"]), int(n["timed_out"]), int(n["established"])
            if not refused + timed_out + good:
                continue
            ns = c.mean_us * 1000
            timed = _histogram(NS_BUCKETS, (good, _distribution(ns, NS_BUCKETS)))
            waiting = c.troubled and silent(int(time) % LAP) > 0
            yield {
                "pid": c.pid, "comm": c.comm, "raddr": c.raddr, "rport": c.rport,
                "connects": refused + timed_out + good, "established": good,
                "failed": refused + timed_out, "refused": refused, "unreachable": 0,
                "timed_out": timed_out, "gave_up": 0, "no_port": 0, "other": 0,
                "errno": errno.ETIMEDOUT if timed_out else errno.ECONNREFUSED if refused else 0,
                "pending": int(c.rate * 3) if waiting else 0,
                "late": int(c.rate * 2) if waiting else 0,
                "oldest_ns": 2_900_000_000 if waiting else None, "via": "eth0" if waiting else None,
                "total_ns": int(sum(timed) * ns), "latency": timed,
            }  # fmt: skip

    def _tcp_rtt(self, _: str | None, since: float, time: float) -> Iterator[Values]:
        return (self._connection(c, since, time) for c in CONNECTIONS)

    def _connection(self, c: PlayedConnection, since: float, time: float) -> Values:
        hit = 1.0 if c.troubled else 0.0
        now = c.rtt_us * (1 + 34 * hit * slow(int(time) % LAP))
        now *= max(self._sum(f"rtt {c.cookie}", lambda _: 1.0, max(time - 1, 0), time, 0.2), 0.8)
        seen = self._sum(f"seen {c.cookie}", lambda _: c.rate, since, time)
        late = self._sum(f"late {c.cookie}", lambda s: c.rate * hit * slow(s), since, time)
        again = self._sum(
            f"again {c.cookie}", lambda s: 7 * hit * slow(s) + 0.002 * c.rate, since, time
        )
        usual = _distribution(c.rtt_us, US_BUCKETS)
        worst = _distribution(c.rtt_us * 30, US_BUCKETS)
        return {
            "cookie": c.cookie, "laddr": c.local, "lport": c.lport, "raddr": c.raddr,
            "rport": c.rport, "comm": c.comm, "pid": c.pid, "srtt_us": int(now),
            "min_us": int(c.rtt_us * 0.82), "last_us": int(now * 1.04),
            "rtt": _histogram(US_BUCKETS, (max(seen - late, 0), usual), (late, worst)),
            "samples": int(seen), "retransmits": int(again), "sent": int(8 * seen + again),
            "from": "sock_ops",
        }  # fmt: skip


def _is_ordinary(call: str, error: str) -> bool:
    return errno_meaning(call, error).errno_class is ErrnoClass.ORDINARY


def _most(s: Syscall, errors: float, since: float, time: float, calls: float) -> str:
    """Return the most frequent errno: the usual one until the incident's have overtaken it."""
    if s.name != "connect" or errors < 2 * s.errors * calls:
        return s.errno
    return "ECONNREFUSED" if time - since < 2 * LAP else "ETIMEDOUT"


def _until(sums: list[float], time: float) -> float:
    """Return what has been added up to by that moment, whole laps included."""
    laps, rest = divmod(time, LAP)
    second = int(rest)
    part = sums[second] + (sums[second + 1] - sums[second]) * (rest - second)
    return laps * sums[-1] + part


def _histogram(buckets: int, *parts: tuple[float, Distribution]) -> tuple[int, ...]:
    hits = [0.0] * buckets
    for number, spread in parts:
        for bucket, share in spread:
            hits[bucket] += number * share
    return tuple(map(int, hits))
