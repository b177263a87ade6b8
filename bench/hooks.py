"""What an event costs in each of our hooks, beside the nearest tool of bcc's or bpftrace.

    python -m bench.hooks [--events N] [HOOK...]

Both are attached at the same time, so they see the same load in the same run; what each of their
programs took is the kernel's own figure (BPF_ENABLE_STATS, which adds its own clock reading to
every run of either). An event is one of the load's: a system call, a connect and its end, a
message over TCP, a dropped packet, a frame. Root only; in network and mount namespaces of its own.
A peer is the first of its commands that loads a program here: bcc's tools want kernel headers, and
many want kprobes. The best of three rounds of each counts.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from probes.compile.compiler import Compiler
from probes.hooks import catalogue
from probes.kernel import bpf, rlimits
from probes.kernel.objects import fd_field
from probes.ladder.attachment import Attachment
from probes.ladder.modules import Modules
from probes.model import HookId, State

ROUNDS, PATIENCE = 3, 15.0
"""Rounds of load; seconds that a peer may take to attach."""
INSIDE = "EBPFTOP_BENCH_HOOKS"
Load = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Pair:
    """A hook of ours, its peers by name, the nearest first, and what runs both."""

    hook: str
    event: str
    load: Load
    events: int
    peers: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Result:
    """Nanoseconds for each event of the load. theirs: None where no peer could attach."""

    pair: Pair
    rung: str
    ours: float
    peer: str
    theirs: float | None


# -- loads -----------------------------------------------------------------------------------


def calls(times: int) -> None:
    for _ in range(times):
        os.getppid()


def connects(times: int) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        for _ in range(times):
            with socket.create_connection(server.getsockname()):
                server.accept()[0].close()


def messages(times: int) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as near,
        server.accept()[0] as far,
    ):
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(times):
            near.send(b"x")
            far.recv(1)


def drops(times: int) -> None:
    """Frames of an EtherType that no protocol takes."""
    frames(times, b"\x88\xb5")


def frames(times: int, ethertype: bytes = b"\x08\x06") -> None:
    frame = b"\xff" * 6 + b"\x02" * 6 + ethertype + b"\0" * 46
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind(("b1", 0))
        for _ in range(times):
            with suppress(OSError):  # the queue is full: as good as sent, for both
                sender.send(frame)


# -- pairs -----------------------------------------------------------------------------------


def _bpftrace(name: str, program: str) -> tuple[str, tuple[str, ...]]:
    return f"bpftrace: {name}", ("bpftrace", "-e", program)


_TIMED = """
tracepoint:raw_syscalls:sys_enter { @start[tid] = nsecs; @id[tid] = args->id; }
tracepoint:raw_syscalls:sys_exit /@start[tid]/ {
    @ns[@id[tid]] = hist(nsecs - @start[tid]); @total[@id[tid]] = stats(nsecs - @start[tid]);
    if (args->ret < 0) { @errors[@id[tid], args->ret] = count(); }
    delete(@start[tid]); delete(@id[tid]);
}"""
_CONNECTS = """
tracepoint:sock:inet_sock_set_state /args->newstate == 2/ {
    @start[args->skaddr] = nsecs; @who[args->skaddr] = comm;
}
tracepoint:sock:inet_sock_set_state /args->oldstate == 2/ {
    @ns[@who[args->skaddr], args->dport] = hist(nsecs - @start[args->skaddr]);
    delete(@start[args->skaddr]); delete(@who[args->skaddr]);
}"""
_RTT = "tracepoint:tcp:tcp_probe { @us[args->sport, args->dport] = hist(args->srtt); }"
_DROPS = "tracepoint:skb:kfree_skb { @[args->reason, args->location, args->protocol] = count(); }"
_FRAMES = """
tracepoint:net:netif_receive_skb { @packets[str(args->name)] = count();
    @bytes[str(args->name)] = sum(args->len); }"""
PAIRS = (
    Pair("syscalls", "system call", calls, 200_000,
         (("syscount -L", ("syscount-bpfcc", "-L", "-i", "99")),
          _bpftrace("syscount with latency and errors", _TIMED))),
    Pair("tcp-connect", "connect", connects, 3000,
         (("tcpconnlat", ("tcpconnlat-bpfcc",)), _bpftrace("inet_sock_set_state", _CONNECTS))),
    Pair("tcp-rtt", "message", messages, 20_000,
         (("tcprtt", ("tcprtt-bpfcc", "-i", "99")), _bpftrace("tcp_probe by ports", _RTT))),
    Pair("drops", "dropped packet", drops, 20_000,
         (_bpftrace("kfree_skb by reason and place", _DROPS),)),
    Pair("tc-ingress@b0", "frame", frames, 20_000,
         (_bpftrace("netif_receive_skb by interface", _FRAMES),)),
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make bench BENCH=hooks", description=__doc__.split("\n")[0]
    )
    parser.add_argument("hooks", nargs="*", metavar="HOOK", help="all: none named")
    parser.add_argument("--events", type=int, help="of the load, in each round")
    asked = parser.parse_args()
    chosen = [p for p in PAIRS if not asked.hooks or p.hook.partition("@")[0] in asked.hooks]
    if not chosen:
        parser.error(f"there are {', '.join(p.hook.partition('@')[0] for p in PAIRS)}")
    if os.geteuid():
        parser.error("programs are attached: run it as root")
    if INSIDE not in os.environ:
        _again_inside()
    rlimits.raise_memlock()
    compiler = Compiler(catalogue().values(), cached=True)
    with ExitStack() as stack:
        stack.callback(compiler.close)
        stack.callback(os.close, bpf.enable_stats())
        modules = Modules(compiler)
        results = [_compare(pair, modules, asked.events or pair.events) for pair in chosen]
    _print(results)
    return 0


def _again_inside() -> NoReturn:
    """In namespaces of our own: no other traffic, and tracefs where the host has none mounted."""
    script = (
        "ip link set lo up && ip link add b0 type veth peer name b1 && ip link set b0 up && "
        "ip link set b1 up && { [ -d /sys/kernel/tracing/events ] || "
        'mount -t tracefs tracefs /sys/kernel/tracing; } && exec "$@"'
    )
    command = ("unshare", "--net", "--mount", "sh", "-c", script, "-")
    again = (*command, sys.executable, "-m", "bench.hooks", *sys.argv[1:])
    os.execvpe(again[0], again, os.environ | {INSIDE: "1"})


def _compare(pair: Pair, modules: Modules, events: int) -> Result:
    print(f"bench: {pair.hook}", file=sys.stderr, flush=True)
    id = HookId.parse(pair.hook)
    index = socket.if_nametoindex(id.target) if id.target else 0
    attachment = Attachment(catalogue()[id.hook], modules, id.target, index)
    status = attachment.climb()
    if status.state is not State.ATTACHED:
        raise SystemExit(f"bench: {pair.hook} stands on {status.rung}, which has no program")
    try:
        with _peer(pair) as (name, programs):
            pair.load(max(events // 10, 1))  # maps get their entries, code is warm
            ours, theirs = zip(
                *(_round(pair, attachment, programs, events) for _ in range(ROUNDS)), strict=True
            )
    finally:
        attachment.detach()
    best = min(theirs) / events if programs else None
    return Result(pair, status.rung or "", min(ours) / events, name, best)


def _round(pair: Pair, attachment: Attachment, programs: list[int], events: int) -> tuple[int, int]:
    """Nanoseconds that our programs took in one round of load, and theirs."""
    before = _ours(attachment), _run_ns(programs)
    pair.load(events)
    return _ours(attachment) - before[0], _run_ns(programs) - before[1]


def _ours(attachment: Attachment) -> int:
    cost = attachment.cost()
    return cost.run_ns if cost else 0


def _run_ns(programs: list[int]) -> int:
    total = 0
    for id in programs:
        fd = bpf.prog_fd_by_id(id)
        try:
            total += bpf.prog_info(fd).run_ns
        finally:
            os.close(fd)
    return total


@contextmanager
def _peer(pair: Pair) -> Iterator[tuple[str, list[int]]]:
    """The first peer that loads a program here, and its programs' ids; none: nobody could."""
    for name, command in pair.peers:
        quiet = subprocess.DEVNULL
        try:
            process = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)
        except FileNotFoundError:
            continue
        try:
            programs = _loaded(process)
            if programs:
                yield name, programs
                return
        finally:
            process.kill()
            process.wait()
    yield "no peer could attach here", []


def _loaded(process: subprocess.Popen[bytes]) -> list[int]:
    """Waits until it holds as many programs as it will."""
    deadline, found, since = time.monotonic() + PATIENCE, set[int](), time.monotonic()
    while process.poll() is None and time.monotonic() < deadline:
        now = _held(process.pid)
        if now != found:
            found, since = now, time.monotonic()
        elif found and time.monotonic() - since > 1.5:
            break
        time.sleep(0.1)
    return sorted(found) if process.poll() is None else []


def _held(pid: int) -> set[int]:
    held = set()
    for info in Path(f"/proc/{pid}/fdinfo").glob("*"):
        if (id := fd_field(str(info), "prog_id")) is not None:
            held.add(id)
    return held


def _print(results: list[Result]) -> None:
    print(f"{'hook':16}{'rung':22}{'event':16}{'ours':>9}{'theirs':>9}{'ratio':>7}  peer")
    for r in results:
        theirs = "-" if r.theirs is None else f"{r.theirs:.0f} ns"
        ratio = "-" if not r.theirs else f"{r.ours / r.theirs:.2f}"
        print(
            f"{r.pair.hook:16}{r.rung:22}{r.pair.event:16}{r.ours:6.0f} ns"
            f"{theirs:>9}{ratio:>7}  {r.peer}"
        )


if __name__ == "__main__":
    sys.exit(main())
