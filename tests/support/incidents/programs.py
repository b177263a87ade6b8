"""BPF programs of somebody's, loaded by an actor and held by it."""

from __future__ import annotations

import signal
import socket
import struct
from collections.abc import Iterator

from tests.support.foreign_process import link, load_code
from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Actor, Stage

XDP, TCX_INGRESS = 37, 46  # BPF_XDP, BPF_TCX_INGRESS
_GENERIC = 2  # XDP_FLAGS_SKB_MODE
_DROP, _PASS = {XDP: 1, TCX_INGRESS: 2}, {XDP: 2, TCX_INGRESS: -1}
_RANDOM = 7  # bpf_get_prandom_u32


def _insn(code: int, to: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("=BBhi", code, source << 4 | to, offset, value)


def dropping(at: int, share: float) -> bytes:
    """Drops this share of what comes, at random."""
    bound = int(share * 2**31)
    return b"".join((
        _insn(0x85, value=_RANDOM),
        _insn(0x77, 0, value=1),  # r0 >>= 1
        _insn(0xBF, 1, 0),  # r1 = r0
        _insn(0xB7, 0, value=_PASS[at]),
        _insn(0x25, 1, offset=1, value=min(bound, 2**31 - 1)),  # if r1 > bound goto the end
        _insn(0xB7, 0, value=_DROP[at]),
        _insn(0x95),
    ))  # fmt: skip


def slow(at: int, helpers: int = 3000) -> bytes:
    """Lets everything pass, and takes long for it."""
    return _insn(0x85, value=_RANDOM) * helpers + _insn(0xB7, 0, value=_PASS[at]) + _insn(0x95)


def holds(name: str, at: int, interface: str, instructions: bytes) -> Actor:
    """Loads it, attaches it by a link, and holds that."""

    def act() -> Iterator[None]:
        program = load_code("xdp" if at == XDP else "tc", name, instructions)
        link(program, socket.if_nametoindex(interface), at, _GENERIC if at == XDP else 0)
        yield
        signal.pause()

    return act


def drop_what_comes(stage: Stage, at: int, share: float, program: str, holder: str) -> None:
    """A thousand datagrams a second from outside, of which a program drops this share."""
    feed = stage.host("feed")
    stage.actor("collectd", traffic.takes(9000))
    stage.actor(holder, holds(program, at, feed.interface, dropping(at, share)))
    stage.keep["begun"] = counters.nstat("UdpInDatagrams")
    stage.actor("feeder", traffic.sends(feed.here, 9000, 1000, sent=stage.add), at="feed")


def missing(stage: Stage) -> float:
    """What was sent, of which nothing arrived."""
    return stage.tally() - counters.nstat("UdpInDatagrams") + stage.keep["begun"]
