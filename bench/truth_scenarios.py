"""What `bench.truth` plays: known numbers of events, counted by us and by others' tools."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.truth import Row
from probes.analysis.classes import is_lost
from probes.compile import compiler as bcc_compiler
from probes.compile.compiler import Compiler
from probes.hooks import catalogue
from probes.kernel import rlimits
from probes.ladder.attachment import Attachment
from probes.ladder.modules import Modules
from probes.model import HookId, State
from tests.support import drop_causes, listening
from tests.support.events import echoed, lose, server, talk
from tests.support.foreign import send_both, somebody
from tests.support.funnels import watching
from tests.support.guest.compiling import Asking
from tests.support.namespaces import HERE, as_json, bpftool, namespace, pair, run, veth
from tests.support.scenarios import Connects, Values, values

_libc = ctypes.CDLL(None, use_errno=True)
Played = Iterator[Row]


@contextmanager
def modules() -> Iterator[Modules]:
    rlimits.raise_memlock()
    bcc_compiler.IDLE_SECONDS = 60.0
    hooks = catalogue().values()
    place = os.environ.get("EBPFTOP_COMPILE")
    compiler = Asking(Path(place), hooks) if place else Compiler(hooks, cached=True)
    try:
        yield Modules(compiler)
    finally:
        compiler.close()


@contextmanager
def _standing(modules: Modules, name: str) -> Iterator[Attachment]:
    """A hook on its best rung."""
    id = HookId.parse(name)
    index = socket.if_nametoindex(id.target) if id.target and id.hook != "syscalls" else 0
    attachment = Attachment(catalogue()[id.hook], modules, id, index)
    try:
        status = attachment.climb()
        assert status.state in (State.ATTACHED, State.PASSIVE), status
        yield attachment
    finally:
        attachment.detach()


def _sum(attachment: Attachment, column: str, **wanted: object) -> int:
    rows = values(attachment)
    return sum(r[column] or 0 for r in rows if all(r[k] == v for k, v in wanted.items()))


@contextmanager
def _bpftrace(program: str) -> Iterator[Mapping[str, int]]:
    """What it counted, when it has ended; nothing where there is none, or it does not start."""
    counted: dict[str, int] = {}
    if not shutil.which("bpftrace"):
        yield counted
        return
    text, pipe = 'BEGIN { printf("ready\\n"); } ' + program, subprocess.PIPE
    with subprocess.Popen(("bpftrace", "-e", text), stdout=pipe, stderr=pipe, text=True) as one:
        try:
            assert one.stdout is not None
            there = any(line.strip() == "ready" for line in one.stdout)
            yield counted
            for _ in range(60 if there else 0):
                one.terminate()  # the first may come before it listens
                with suppress(subprocess.TimeoutExpired):
                    said = one.communicate(timeout=1)[0]
                    counted |= {k: int(v) for k, v in re.findall(r"@(\w+): (\d+)", said)}
                    break
        finally:
            one.kill()


def _nstat(*names: str) -> dict[str, int]:
    kernel = as_json("nstat", "-aszj")["kernel"]
    return {name: kernel[name] for name in names}


def syscalls(modules: Modules) -> Played:
    """A call that hardly anybody makes, which succeeds and fails."""
    done, failed = 5000, 3000
    program = """
        tracepoint:syscalls:sys_exit_sched_rr_get_interval { @calls = count(); }
        tracepoint:syscalls:sys_exit_sched_rr_get_interval /args->ret < 0/ { @errors = count(); }
    """
    room = ctypes.create_string_buffer(16)
    with _standing(modules, "syscalls") as ours, _bpftrace(program) as theirs:
        name = "sched_rr_get_interval"
        before = [_sum(ours, c, syscall=name) for c in ("calls", "errors")]
        for pid, times in ((0, done), (2**30, failed)):
            for _ in range(times):
                _libc.sched_rr_get_interval(pid, room)
        calls, errors = (
            _sum(ours, c, syscall=name) - b
            for c, b in zip(("calls", "errors"), before, strict=True)
        )
    yield Row("system calls", "calls", done + failed, "bpftrace", theirs.get("calls"), calls)
    yield Row("", "of them failed", failed, "bpftrace", theirs.get("errors"), errors)


def opens(modules: Modules) -> Played:
    found, missing = 200, 70
    with tempfile.NamedTemporaryFile() as file, _standing(modules, "opens") as ours:
        pid = os.fork()  # in this process others open files, too: owners are looked up here
        if not pid:
            for name, times in ((file.name, found), (f"{file.name}-no", missing)):
                for _ in range(times):
                    with suppress(FileNotFoundError):
                        os.close(os.open(name, os.O_RDONLY))
            os._exit(0)
        os.waitpid(pid, 0)
        made, failed = (_sum(ours, name, pid=pid) for name in ("opens", "failed"))
    yield Row("files", "opens", found + missing, "", None, made)
    yield Row("", "of them failed", missing, "", None, failed)


def connects(modules: Modules) -> Played:
    """Every way in which a connect can end, on both families."""
    names = ("TcpActiveOpens", "TcpAttemptFails")
    kinds = ("established", "refused", "timed_out", "gave_up", "unreachable", "pending")
    with namespace(), Connects.ready() as many, _standing(modules, "tcp-connect") as ours:
        before = _nstat(*names)
        rows, _ = many.cause(ours)
        nstat = {k: v - before[k] for k, v in _nstat(*names).items()}
        if ours.status.rung == "sock_ops":
            kinds = kinds[:4]
        wanted = many.expected().values()
    expected = {kind: sum(w.get(kind, 0) for w in wanted) for kind in kinds}
    got = {kind: sum(r[kind] or 0 for r in rows) for kind in kinds}
    for i, kind in enumerate(kinds):
        scenario = "" if i else "connects"
        yield Row(scenario, kind.replace("_", " "), expected[kind], "", None, got[kind])
    failed = got["refused"] + got["timed_out"]
    tool = "nstat TcpAttemptFails"
    yield Row("", "refused, timed out", None, tool, nstat["TcpAttemptFails"], failed)
    sent = sum(n for kind, n in got.items() if kind != "unreachable")
    yield Row("", "that sent a SYN", None, "nstat TcpActiveOpens", nstat["TcpActiveOpens"], sent)


def round_trips(modules: Modules) -> Played:
    """A connection that talks, and one that loses what it sends."""
    with ExitStack() as stack:
        stack.enter_context(namespace())
        port = stack.enter_context(server(HOST))
        ours = stack.enter_context(_standing(modules, "tcp-rtt"))
        quick, lossy = (stack.enter_context(talk(HOST, port, n)) for n in (200, 3))
        resent = lose(lossy)
        time.sleep(0.3)  # an acknowledgement that was delayed makes the last round trip
        ends = [s.getsockname()[1] for s in (quick, lossy)]
        rows = {r["lport"]: r for r in values(ours)}
        shown = [_ss(end) for end in ends]
    rtt = float(shown[0].partition(" rtt:")[2].split("/")[0]) * 1000
    yield Row("TCP", "smoothed RTT, us", None, "ss", rtt, rows[ends[0]]["srtt_us"], at_most=1)
    theirs = re.search(r"retrans:\d+/(\d+)", shown[1])
    number = int(theirs[1]) if theirs else None
    yield Row("", "retransmits", resent, "ss", number, rows[ends[1]]["retransmits"])


HOST = "127.0.0.1"


def _ss(port: int) -> str:
    return run("ss", "-tniHO", "sport", "=", str(port))


def sent(modules: Modules) -> Played:
    size, mine = 100_000, os.getpid()
    with namespace(), server(HOST) as port, _standing(modules, "sent") as ours:
        before = _sum(ours, "bytes", pid=mine)
        with talk(HOST, port, 0) as s:
            echoed(s, b"x" * size)
            shown = run("ss", "-tniHO", f"sport = {port} or dport = {port}")
        counted = _sum(ours, "bytes", pid=mine) - before
    total, again = (
        sum(map(int, re.findall(rf"bytes_{w}:(\d+)", shown))) for w in ("sent", "retrans")
    )
    theirs = total - again or None
    yield Row("bytes sent", "by TCP, both ends", 2 * size, "ss", theirs, counted)


def drops(modules: Modules) -> Played:
    """Each cause alone: at its stage, and at no other of its interface."""
    number = 30
    with namespace(), drop_causes.ready() as causes, watching(modules) as watch:
        after = drop_causes.counters()
        for i, cause in enumerate(causes):
            before, was = after, _stages(watch, cause)
            cause.drop(number + i)
            wanted, deadline = sum(was.values()) + number + i, time.monotonic() + 2
            while sum(_stages(watch, cause).values()) < wanted and time.monotonic() < deadline:
                time.sleep(0.05)  # a veth's CPU comes to it
            now, after = _stages(watch, cause), drop_causes.counters()
            grown = {k: n - was.get(k, 0) for k, n in now.items() if n != was.get(k, 0)}
            ours = grown.pop(cause.stage, 0) + sum(grown.values())
            # Not all kernels count it: a link without a carrier, say.
            theirs = (after[cause.counter] - before[cause.counter]) if cause.counter else 0
            what = cause.name + (" (ordinary)" if cause.ordinary else f", lost at {cause.stage}")
            if grown:
                what += f" BUT ALSO {grown}"
            tool = cause.counter if theirs else ""
            yield Row("" if i else "drops", what, number + i, tool, theirs or None, ours)


def _stages(watch: Any, cause: drop_causes.Cause) -> dict[str, int]:
    stages = watch.funnel(cause.interface)
    flows = {s.name: s.ordinary if cause.ordinary else s.lost for s in stages}
    return {name: flow.total for name, flow in flows.items() if flow is not None}


def funnel(modules: Modules) -> Played:
    """TCP through a veth: a packet of many segments is one at every stage."""
    sender = (
        "import socket, sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2])));"
        "s.sendall(b'x' * 1000000); s.shutdown(socket.SHUT_WR); s.recv(1)"
    )
    with namespace(), pair() as beside:
        silent = "for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 >$f; done"
        run("ip", "netns", "exec", beside, "sh", "-c", silent)
        with watching(modules, "tc-ingress@v0", "tc-egress@v0") as watch:
            before = _received("v0")
            with socket.create_server((HERE, 0)) as listener:
                port = str(listener.getsockname()[1])
                command = ["ip", "netns", "exec", beside, sys.executable, "-c", sender, HERE, port]
                with subprocess.Popen(command):
                    connection, _ = listener.accept()
                    with connection:
                        while connection.recv(1 << 20):
                            pass
            stages = {s.name: s for s in watch.funnel("v0")}
            received = _received("v0") - before
    for i, name in enumerate(("nic", "tc-ingress", "stack")):
        came = stages[name].came
        ours = came.total if came is not None else None
        scenario = "" if i else "funnel, 1 MB"
        yield Row(scenario, f"skbs at {name}", None, "ip -s", received, ours, at_most=2)
    lost = sum(s.lost.total for s in stages.values() if s.lost is not None)
    yield Row("", "lost anywhere", 0, "", None, lost)


def _received(interface: str) -> int:
    (link,) = as_json("ip", "-j", "-s", "link", "show", "dev", interface)
    return int(link["stats64"]["rx"]["packets"])


def orderly(modules: Modules) -> Played:
    """Connections that are closed in order lose nothing."""
    names = ("TcpExtListenDrops", "TcpExtTCPRcvQDrop", "TcpExtTCPBacklogDrop", "TcpRetransSegs")
    with namespace(), server(HOST) as port, _standing(modules, "drops") as ours:
        before, ports = _nstat(*names), set[int]()
        for _ in range(200):
            with talk(HOST, port, 1) as s:
                ports.add(s.getsockname()[1])
        time.sleep(0.3)
        theirs = sum(_nstat(*names).values()) - sum(before.values())
        rows = [r for r in values(ours) if r["dport"] in (ports | {port})]
        rows = [r for r in rows if r["interface"] == "lo" and is_lost(r)]
    what = ", ".join(["lost", *(f"{r['reason']} at {r['location']}" for r in rows)])
    lost = sum(r["packets"] for r in rows)
    yield Row("200 orderly closes", what, 0, "nstat, 4 counters", theirs, lost)


def listeners(modules: Modules) -> Played:
    """An accept queue that is full, for SYNs."""
    port = 1031
    with namespace(), listening.listening(port), _standing(modules, "drops") as ours:
        before = _nstat("TcpExtListenDrops")["TcpExtListenDrops"]
        with listening.connecting(port, 12):
            for _ in range(50):  # until nothing came between the two readings
                theirs = _nstat("TcpExtListenDrops")["TcpExtListenDrops"] - before
                rows = _at(ours, port)
                if theirs == _nstat("TcpExtListenDrops")["TcpExtListenDrops"] - before > 9:
                    break
                time.sleep(0.1)
    lost = sum(r["packets"] for r in rows)
    yield Row("a full accept queue", "SYNs", None, "nstat ListenDrops", theirs, lost)
    with ExitStack() as stack:
        stack.enter_context(namespace())
        peer = stack.enter_context(closing(listening.Peer()))
        stack.enter_context(listening.listening(port, 4, listening.MINE))
        ours = stack.enter_context(_standing(modules, "drops"))
        before = _nstat("TcpExtListenDrops")["TcpExtListenDrops"]
        waiting = peer.syn(port, 4)
        for _ in range(3):
            peer.ack(port, peer.syn(port, 1))
        peer.ack(port, waiting)
        theirs = _nstat("TcpExtListenDrops")["TcpExtListenDrops"] - before
        rows = _at(ours, port)
    lost = sum(r["packets"] for r in rows)
    yield Row("", "SYNs and ACKs", None, "nstat ListenDrops", theirs, lost)


def _at(drops: Attachment, port: int) -> list[Values]:
    """What is lost at a port of this namespace: others may have the same."""
    rows = [r for r in values(drops) if r["dport"] == port and is_lost(r)]
    return [r for r in rows if r["netns"] is None and "netns" not in str(r["interface"])]


def programs(modules: Modules) -> Played:
    """Somebody's XDP program: its runs, and what it answers where that can be told."""
    passed, dropped = 300, 40
    with ExitStack() as stack:
        pins = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(namespace())
        who = stack.enter_context(somebody(pins))
        index, _ = veth()
        program = who.load("xdp", "acme_xdp", btf=True)
        who.put(program, index, "generic")
        all_of = stack.enter_context(_standing(modules, "programs"))
        verdicts = stack.enter_context(_standing(modules, "xdp-programs"))
        send_both("v1", passed, dropped)
        wanted = passed + dropped
        deadline = time.monotonic() + 10
        while who.seen(program) < wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        (theirs,) = [p for p in bpftool("prog", "show") if p["id"] == program]
        (row,) = [r for r in values(all_of) if r["id"] == program]
        (answers,) = [r for r in values(verdicts) if r["program_id"] == program]
    yield Row("a program", "runs", wanted, "bpftool", theirs["run_cnt"], row["runs"])
    yield Row("", "packets given to it", wanted, "bpftool", theirs["run_cnt"], answers["packets"])
    yield Row("", "that it dropped", dropped, "", None, answers["drop"])


SCENARIOS: tuple[Callable[[Modules], Played], ...] = (
    *(syscalls, opens, connects, round_trips, sent),
    *(drops, funnel, orderly, listeners, programs),
)
