"""Every rung of every ladder: attach it, make a known number of events, require that number.

A rung that this kernel refuses is skipped with its errno and sentence, which is what the matrix
of kernels prints; one that no kernel of the matrix counts on is a failure there.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from probes.analysis.snapshot import Trail
from probes.attach import tcx
from probes.hooks import catalogue
from probes.hooks.protocols import hook as protocols
from probes.hooks.tcp_rtt import open_sockets
from probes.kernel import bpf, cgroups
from probes.kernel.netlink import stalled
from probes.kernel.procfs import pid_namespace
from probes.ladder.attachment import Attachment, Modules
from probes.model import HookId, Rung, State
from tests.support import frames
from tests.support.events import (
    HOLE,
    LOST,
    NO_ROUTE,
    be_checked,
    black_hole,
    connect,
    connect_into_hole,
    echoed,
    exchange,
    free_port,
    getpgid,
    lose,
    name_addresses,
    server,
    talk,
    time_out,
)
from tests.support.foreign import somebody
from tests.support.namespaces import FRAME, as_json, namespace, run, send, veth
from tests.support.rungs import stood
from tests.support.scenarios import Values, find, log_of, rows_of, values

pytestmark = pytest.mark.kernel

FRAMES, CALLS, FAILING = 25, 40, 13
KEPT = ("tcp-connect", "tcp-rtt")  # their rows are by port: no two tests have one in common
Record = Callable[[str, object], None]


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


@pytest.fixture
def attached(
    modules: Modules, keep: Callable[[str], None], record_property: Record
) -> Iterator[Callable[..., Attachment]]:
    """Attaches one rung for real, or skips with what the kernel answered; leaves nothing."""
    held: list[Attachment] = []
    programs: list[int] = []

    def attach(spec: str, rung: str, ifindex: int = 0) -> Attachment:
        id = HookId.parse(spec)
        record_property("hook", id.hook)
        record_property("rung", rung)
        attachment = Attachment(catalogue()[id.hook], modules, id.target, ifindex)
        held.append(attachment)
        status = attachment.climb(pinned=rung, asked=True)
        stood(status, record_property)
        assert status.rung == rung
        if id.hook in KEPT and _rung(id.hook, rung).source:
            keep(_rung(id.hook, rung).source_for(id.target))
        programs.extend(_programs_held())
        return attachment

    yield attach
    for attachment in held:
        attachment.detach()
    # The kernel frees a detached program a grace period later.
    deadline = time.monotonic() + 5
    while any(map(bpf.prog_name, programs)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [id for id in programs if bpf.prog_name(id)]
    # Asked by processes, which take a guest a second: not where there is nothing to be seen.
    if len(socket.if_nameindex()) > 1 or any(a.ifindex for a in held):
        assert _traces() == {"xdp": [], "qdiscs": []}


def _programs_held() -> list[int]:
    """Ids of the programs that this process has loaded, as its file descriptors say."""
    ids = []
    for info in Path("/proc/self/fdinfo").iterdir():
        with suppress(OSError):
            ids += [int(line[8:]) for line in info.read_text().splitlines() if "prog_id:" in line]
    return ids


def _traces() -> dict[str, Any]:
    """What an attachment would show in, in this namespace."""
    return {
        "xdp": [link["ifname"] for link in as_json("ip", "-j", "link") if "xdp" in link],
        "qdiscs": [q for q in as_json("tc", "-j", "qdisc") if q["kind"] == "clsact"],
    }


def _rungs(hook: str) -> Any:
    return pytest.mark.parametrize(
        "rung", [pytest.param(r.name, id=f"{hook}:{r.name}") for r in catalogue()[hook].ladder]
    )


def _rung(hook: str, name: str) -> Rung:
    rung = catalogue()[hook].rung(name)
    assert rung is not None
    return rung


# -- interfaces and packets ------------------------------------------------------------------


@_rungs("interfaces")
def test_link_counters_are_those_of_ip(
    attached: Callable[..., Attachment], rung: str, record_property: Record
) -> None:
    attachment = attached("interfaces", rung)
    veth()
    send("v1", FRAMES)
    row = find(values(attachment), interface="v0")
    shown = as_json("ip", "-j", "-s", "link", "show", "v0")[0]["stats64"]
    assert row["rx_packets"] == shown["rx"]["packets"] == FRAMES
    assert row["rx_bytes"] == shown["rx"]["bytes"] == FRAMES * len(FRAME)
    record_property("count", FRAMES)


@_rungs("xdp")
@pytest.mark.parametrize("device", ["veth", "lo"])
def test_xdp_counts_each_packet_and_lets_it_pass(
    attached: Callable[..., Attachment], device: str, rung: str, record_property: Record
) -> None:
    index, _ = veth()
    name, source = ("v0", "v1") if device == "veth" else ("lo", "lo")
    if device == "lo":
        index = socket.if_nametoindex("lo")
    attachment = attached(f"xdp@{name}", rung, index)
    before = as_json("ip", "-j", "-s", "link", "show", name)[0]["stats64"]["rx"]["packets"]
    send(source, FRAMES)
    row = find(values(attachment), interface=name)
    after = as_json("ip", "-j", "-s", "link", "show", name)[0]
    assert after["stats64"]["rx"]["packets"] - before == FRAMES, "all of them passed"
    if _rung("xdp", rung).passive:
        record_property("count", "bytes only")
        return
    assert (row["pass"], row["drop"], row["aborted"]) == (FRAMES, 0, 0)
    # The link's own header is part of the packet here
    assert row["pass_bytes"] == row["bytes"] == FRAMES * len(FRAME)
    mode = "xdpgeneric" if "generic" in rung else "xdp"
    assert after["xdp"]["prog"]["id"] == row["program_id"]
    assert {1: "xdp", 2: "xdpgeneric"}[after["xdp"]["mode"]] == mode
    record_property("count", row["pass"])


@_rungs("tc-ingress")
def test_tc_ingress_counts_each_packet(
    attached: Callable[..., Attachment], rung: str, record_property: Record
) -> None:
    _tc(attached, "ingress", rung, record_property)


@_rungs("tc-egress")
def test_tc_egress_counts_each_packet(
    attached: Callable[..., Attachment], rung: str, record_property: Record
) -> None:
    _tc(attached, "egress", rung, record_property)


def _tc(
    attached: Callable[..., Attachment], direction: str, rung: str, record_property: Record
) -> None:
    index, _ = veth()
    if rung == "netlink":  # counts what a qdisc counts, so there has to be one that counts
        kind = ("clsact",) if direction == "ingress" else ("root", "pfifo")
        run("tc", "qdisc", "add", "dev", "v0", *kind)
        if direction == "ingress":  # it counts what it has filters for
            run("tc", "filter", "add", "dev", "v0", "ingress", "bpf", "bytecode", "1,6 0 0 0,")
    attachment = attached(f"tc-{direction}@v0", rung, index)
    send("v1" if direction == "ingress" else "v0", FRAMES)
    row = find(values(attachment), interface="v0")
    assert row["packets"] == FRAMES
    if rung == "netlink":
        run("tc", "qdisc", "del", "dev", "v0", *(kind[:1]))
    else:
        assert row["bytes"] == FRAMES * len(FRAME)
    record_property("count", row["packets"])


@_rungs("xdp-programs")
def test_somebody_s_xdp_program_is_counted(
    attached: Callable[..., Attachment], rung: str, tmp_path: Path, record_property: Record
) -> None:
    index, _ = veth()
    with somebody(tmp_path) as them:
        program = them.load("xdp", "acme_xdp", btf=True)
        them.put(program, index, "native")
        _followed(attached, "xdp-programs", rung, program, record_property)


@_rungs("tc-programs")
def test_somebody_s_filter_is_counted(
    attached: Callable[..., Attachment], rung: str, tmp_path: Path, record_property: Record
) -> None:
    index, _ = veth()
    with somebody(tmp_path) as them:
        program = them.load("tc", "acme_tc", btf=True)
        if rung == "around" and tcx.missing() is None:
            them.put(program, index, "ingress")
            _followed(attached, "tc-programs", rung, program, record_property)
            return
        run("tc", "qdisc", "add", "dev", "v0", "clsact")
        them.filter_of(program, "v0", "ingress", 5)
        try:
            _followed(attached, "tc-programs", rung, program, record_property)
        finally:
            run("tc", "qdisc", "del", "dev", "v0", "clsact")


def _followed(
    attached: Callable[..., Attachment],
    hook: str,
    rung: str,
    program: int,
    record_property: Record,
) -> None:
    attachment = attached(hook, rung)
    send("v1", FRAMES)
    deadline = time.monotonic() + 10  # a veth takes packets in when its CPU comes to it
    while (row := find(values(attachment), interface="v0"))["packets"] not in (FRAMES, None):
        assert time.monotonic() < deadline, row
        time.sleep(0.05)
    assert row["program_id"] == program
    if _rung(hook, rung).passive and hook == "tc-programs":
        assert row["packets"] is None
        record_property("count", "names only")
        return
    assert row["packets"] == FRAMES
    if hook == "xdp-programs" and rung != "fexit":
        assert (row["seen"], row["drop"]) == ("driver", 0)
    if rung == "fexit":
        assert (row["pass"], row["drop"]) == (FRAMES, 0)
        assert row["bytes"] == FRAMES * len(FRAME)
    if rung == "around":
        assert (row["seen"], row["ended"]) == ("around", 0)
    record_property("count", row["packets"])


@_rungs("xdp-errors")
@pytest.mark.parametrize("mode", ["native", "generic"])
def test_packets_that_xdp_programs_lose_are_counted(
    attached: Callable[..., Attachment],
    mode: str,
    rung: str,
    tmp_path: Path,
    record_property: Record,
) -> None:
    """Aborted; redirected to nowhere; sent back to a peer that takes nothing (native only)."""
    index, _ = veth()
    with somebody(tmp_path) as them:
        them.put(them.load("xdp by byte", "acme_xdp"), index, mode)
        attachment = attached("xdp-errors", rung)
        for byte, frames in {0: FRAMES, 4: CALLS, 3: FAILING, 2: 7, 1: 6}.items():
            send("v1", frames, FRAME[:14] + bytes([byte]) + FRAME[15:])
        expected = {"aborted": FRAMES, "redirect": CALLS}
        if mode == "native":
            expected["tx"] = FAILING
        if rung == "driver":  # a veth's counts no others, and nothing in generic mode
            expected = {"tx": FAILING} if mode == "native" else {}
        rows = _until(lambda: values(attachment), expected)
        if rung != "driver":
            assert find(rows, answer="aborted")["error"] == "-"
            assert find(rows, answer="redirect")["error"] in ("EINVAL", "EBADRQC")
        assert all(row["program"].startswith("acme_xdp#") for row in rows)
    record_property("count", sum(expected.values()) or "native mode only")


@_rungs("xdp-errors")
def test_packets_that_are_lost_behind_a_redirect_are_counted(
    attached: Callable[..., Attachment], rung: str, tmp_path: Path, record_property: Record
) -> None:
    """By a veth whose peer takes nothing so long; the program's part went well."""
    index, _ = veth()
    out, behind = veth("w0", "w1")
    run("ip", "link", "set", "dev", "w1", "mtu", "100")
    with somebody(tmp_path) as them:
        them.put(them.load("xdp by byte", "acme_taker"), behind, "native")
        them.put(them.ask("redirect", "acme_redirect", out), index, "native")
        attachment = attached("xdp-errors", rung)
        send("v1", FRAMES, FRAME + bytes(100))
        if rung == "driver":  # a veth's driver takes them for redirected
            assert {r["packets"] for r in values(attachment)} == {0}
            record_property("count", 0)
            return
        (row,) = _until(lambda: values(attachment), {"redirect": FRAMES})
        assert (row["interface"], row["error"], row["to"]) == ("v0", "-", "w0")
    record_property("count", FRAMES)


def _until(read: Callable[[], list[Values]], wanted: dict[str, int]) -> list[Values]:
    """The rows, once they are those; a veth takes packets in when its CPU comes to it."""
    deadline = time.monotonic() + 10
    while True:
        rows = read()
        if {row["answer"]: row["packets"] for row in rows} == wanted:
            return rows
        assert time.monotonic() < deadline, rows
        time.sleep(0.05)


@_rungs("qdiscs")
def test_queues_are_those_of_tc(
    attached: Callable[..., Attachment], rung: str, record_property: Record
) -> None:
    """With those below another, and what is held back and dropped."""
    index, _ = veth()
    run("tc", "qdisc", "add", "dev", "v0", "root", "handle", "1:",
        "tbf", "rate", "8bit", "burst", "600", "limit", "1000")  # fmt: skip
    run("tc", "qdisc", "add", "dev", "v0", "parent", "1:1", "handle", "11:", "pfifo", "limit", "3")
    run("tc", "qdisc", "add", "dev", "v0", "clsact")
    attachment = attached("qdiscs", rung)
    send("v0", FRAMES)
    rows = {r["handle"]: r for r in values(attachment) if r["ifindex"] == index}
    shown = as_json("tc", "-s", "-j", "qdisc", "show", "dev", "v0")
    assert len(rows) == len(shown) == 3
    for qdisc in shown:
        row = rows[qdisc["handle"]]
        theirs = {"dropped": "drops", "queued": "qlen"}
        for column in ("kind", "packets", "bytes", "dropped", "overlimits", "requeues", "backlog",
                       "queued"):  # fmt: skip
            assert row[column] == qdisc[theirs.get(column, column)], (column, row, qdisc)
    assert {row["parent"] for row in rows.values()} == {"root", "1:1", "ingress"}
    root = rows["1:"]
    assert root["packets"] + root["queued"] + root["dropped"] == FRAMES
    assert root["dropped"] == rows["11:"]["dropped"] > 0
    run("tc", "qdisc", "del", "dev", "v0", "clsact")
    record_property("count", root["dropped"])


@_rungs("drops")
def test_drops_are_counted_where_and_why(
    attached: Callable[..., Attachment], rung: str, record_property: Record
) -> None:
    veth()
    attachment = attached("drops", rung)
    send("v1", FRAMES)
    rows = [r for r in values(attachment) if r["interface"] == "v0"]
    assert sum(r["packets"] for r in rows) == FRAMES
    (row,) = rows
    if rung == "counters":
        assert row["reason"] == "rx_dropped"
    else:
        assert row["location"].startswith("__netif_receive_skb_core"), row
        assert row["reason"] == ("-" if "no-reason" in rung else "UNHANDLED_PROTO")
        assert (row["protocol"], row["dport"]) == ("0x88b5", None)
    record_property("count", FRAMES)


# -- system calls ----------------------------------------------------------------------------


@_rungs("syscalls")
def test_syscalls_are_counted_with_their_errors(
    attached: Callable[..., Attachment], rung: str, record_property: Record
) -> None:
    attachment = attached("syscalls", rung)
    if rung == "proc":
        attachment.read()
        zero = os.open("/dev/zero", os.O_RDONLY)
        for _ in range(CALLS):
            os.read(zero, 1)
        os.close(zero)
        assert find(values(attachment), syscall="read*")["calls"] >= CALLS
        record_property("count", "sums only")
        return
    getpgid(0, CALLS)
    getpgid(-1, FAILING)
    row = find(values(attachment), syscall="getpgid")
    assert (row["calls"], row["errors"]) == (CALLS + FAILING, FAILING)
    assert row["top_errno"] == "ESRCH"
    assert sum(row["latency"]) == CALLS + FAILING
    assert 0 < row["total_ns"] < 1e9
    record_property("count", row["calls"])


@_rungs("syscall-processes")
def test_one_syscall_is_counted_by_process(
    attached: Callable[..., Attachment], rung: str, record_property: Record
) -> None:
    attachment = attached("syscall-processes@getpgid", rung)
    os.getpid()
    getpgid(0, CALLS)
    getpgid(-1, FAILING)
    (row,) = values(attachment)
    assert (row["pid"], row["calls"], row["errors"]) == (os.getpid(), CALLS + FAILING, FAILING)
    assert row["comm"] in ("pytest", "python", "python3", "python3.11")
    record_property("count", row["calls"])


# -- TCP -------------------------------------------------------------------------------------


@_rungs("tcp-connect")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_connects_that_succeed_and_that_are_refused(
    attached: Callable[..., Attachment], host: str, rung: str, record_property: Record
) -> None:
    attachment = attached("tcp-connect", rung)
    if rung == "sock_diag":
        attachment.read()
        with server(host) as port:
            held = [socket.create_connection((host, port)) for _ in range(5)]
            row = find(values(attachment), raddr=host, rport=port, pid=os.getpid())
            for s in held:
                s.close()
        assert (row["connects"], row["established"], row["failed"]) == (5, 5, 0)
        record_property("count", 5)
        return
    with server(host) as port:
        assert connect(host, port, 7) == 0
    closed = free_port(host)
    assert connect(host, closed, 4) == 4
    rows = values(attachment)
    good = find(rows, raddr=host, rport=port, pid=os.getpid())
    bad = find(rows, raddr=host, rport=closed, pid=os.getpid())
    assert (good["connects"], good["established"], good["failed"]) == (7, 7, 0)
    assert sum(good["latency"]) == 7
    assert good["total_ns"] > 0
    assert (bad["connects"], bad["established"], bad["refused"], bad["failed"]) == (4, 0, 4, 4)
    assert good["pending"] == bad["pending"] == 0
    record_property("count", 11)


@_rungs("tcp-connect")
def test_the_ways_to_fail_are_told_apart(
    attached: Callable[..., Attachment], rung: str, record_property: Record
) -> None:
    black_hole()
    attachment = attached("tcp-connect", rung)
    attachment.read()
    pending = connect_into_hole(81)
    given_up = connect_into_hole(82)
    sample = attachment.read()
    assert sample.status.state is not State.FAILED
    given_up.close()
    time_out(83)
    assert connect(NO_ROUTE, 84, 2) == 2
    log: list[Values] = []
    deadline = time.monotonic() + (0 if rung == "sock_diag" else 5)
    while time.monotonic() < deadline and 83 not in {e["rport"] for e in log}:
        log += log_of(attachment, attachment.read())  # its caller may wake before it has ended
    if rung == "sock_ops":  # an attempt that sent no SYN is settled a second later
        time.sleep(1.1)
    rows = [row for row in values(attachment) if row["pid"] == os.getpid()]
    assert find(rows, raddr=HOLE, rport=81)["pending"] == 1
    pending.close()
    gave_up = find(rows, raddr=HOLE, rport=82)
    assert gave_up["failed"] == 1
    if rung == "sock_diag":
        record_property("count", "no reasons")
        return
    timed_out, nowhere = (find(rows, rport=port) for port in (83, 84))
    assert gave_up["gave_up"] == timed_out["timed_out"] == timed_out["failed"] == 1
    assert (nowhere["raddr"], nowhere["connects"], nowhere["failed"]) == (NO_ROUTE, 2, 2)
    assert nowhere["other" if rung == "sock_ops" else "unreachable"] == 2
    assert {(e["rport"], e["result"]) for e in log} >= {(82, "gave up"), (83, "timed out")}
    record_property("count", 5)


@_rungs("tcp-connect")
def test_what_waits_is_known_since_before_the_start(
    attached: Callable[..., Attachment], rung: str, record_property: Record
) -> None:
    """With its age, by the timer of its SYN."""
    black_hole()
    before = [connect_into_hole(86) for _ in range(3)]
    time.sleep(1.2)
    attachment = attached("tcp-connect", rung)
    after = connect_into_hole(86)
    row = find(values(attachment), raddr=HOLE, rport=86, pid=os.getpid())
    assert (row["pending"], row["late"], row["failed"]) == (4, 3, 0)
    assert 1.1e9 < row["oldest_ns"] < 60e9
    for s in (*before, after):
        s.close()
    rows = [r for r in values(attachment) if (r["raddr"], r["rport"]) == (HOLE, 86)]
    assert not any(r["pending"] for r in rows)
    record_property("count", 4)


@_rungs("name-servers")
def test_queries_that_nobody_answers_are_late(
    attached: Callable[..., Attachment], rung: str, record_property: Record
) -> None:
    black_hole()
    attachment = attached("name-servers", rung)
    with ExitStack() as stack:
        for port in (53, 53, 54):
            s = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            s.connect((HOLE, port))
        deadline, rows = time.monotonic() + 20, list[Values]()
        while not rows and time.monotonic() < deadline:
            time.sleep(0.2)
            rows = [r for r in values(attachment) if r["late"]]
        (row,) = rows
    assert (row["pid"], row["server"], row["seen"], row["late"]) == (os.getpid(), HOLE, 2, 2)
    assert (row["waiting"], row["oldest_ns"] > 0.3e9) == (2, True)
    record_property("count", 2)


@_rungs("net-counters")
def test_datagrams_for_nobody_are_in_the_kernel_s_counter(
    attached: Callable[..., Attachment], rung: str, record_property: Record
) -> None:
    """Since its network namespace was made, which may be later than boot."""
    attachment = attached("net-counters", rung)
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        for _ in range(7):
            s.sendto(b"x", ("127.0.0.1", 9))
    row = find(values(attachment), counter="UdpNoPorts")
    assert row["events"] == 7
    assert 0 < row["age"] <= time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    assert row["since"] == "boot at the earliest"
    record_property("count", 7)


_ALONE = """
import socket, subprocess
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
taken = socket.socket(type=socket.SOCK_DGRAM)
taken.bind(("127.0.0.1", 0))
print(flush=True)
input()
for _ in range(20):
    taken.sendto(b"x", taken.getsockname())
assert socket.socket().connect_ex(("127.0.0.1", 9))
print(flush=True)
input()
"""


@_rungs("namespaces")
def test_packets_and_connects_of_another_namespace(
    attached: Callable[..., Attachment], rung: str, record_property: Record
) -> None:
    attachment = attached("namespaces", rung)
    command = ("unshare", "-n", sys.executable, "-c", _ALONE)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as alone:
        assert alone.stdin
        assert alone.stdout
        readings = []
        for _ in range(2):
            alone.stdout.readline()
            readings.append(find(values(attachment), pid=alone.pid))
            alone.stdin.write(b"\n")
            alone.stdin.flush()
    before, after = readings
    names = ("rx_packets", "tx_packets", "connects", "failed")
    assert [after[name] - before[name] for name in names] == [22, 22, 1, 1]  # a SYN, a RST
    record_property("count", 22)


@_rungs("namespace-interfaces")
def test_interfaces_of_another_namespace(
    attached: Callable[..., Attachment], rung: str, record_property: Record
) -> None:
    """As ip(8) counts them there, with the name that the namespace has."""
    name = f"ebpftop-{os.getpid()}"
    attachment = attached("namespace-interfaces", rung)
    run("ip", "netns", "add", name)
    try:
        run("ip", "link", "add", "there1", "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "-n", name, "link", "set", "eth0", "addrgenmode", "none", "up")
        run("ip", "link", "set", "there1", "addrgenmode", "none", "up")
        while not (rows := [r for r in values(attachment) if r["netns_name"] == name]):
            time.sleep(0.1)  # names of namespaces are listed every few seconds
        send("there1", 50)
        (row,) = (r for r in values(attachment) if r["netns_name"] == name and r["kind"] == "veth")
        counted = as_json("ip", "-n", name, "-s", "-j", "link", "show", "eth0")[0]
    finally:
        run("ip", "netns", "del", name)
    before = next(r for r in rows if r["interface"] == "eth0")
    assert row["rx_packets"] - before["rx_packets"] == 50
    assert {r["interface"] for r in rows} == {"lo", "eth0"}
    assert row["ifindex"] == counted["ifindex"]
    assert row["rx_bytes"] == counted["stats64"]["rx"]["bytes"]
    assert all(r["netns_name"] != name for r in values(attachment))
    record_property("count", 50)


@_rungs("memory")
def test_the_host_s_memory_and_that_of_sockets(
    attached: Callable[..., Attachment], rung: str, record_property: Record
) -> None:
    """What sockets may take is told in the first network namespace only."""
    attachment = attached("memory", rung)
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        client = stack.enter_context(socket.create_connection(server.getsockname()))
        client.setblocking(False)
        with suppress(BlockingIOError):
            while True:  # nobody reads it
                client.send(b"x" * 65536)
        found = {row["where"]: row for row in values(attachment)}
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert (found["host"]["limit"], 0 < found["host"]["used"] < total) == (total, True)
    assert found["TCP sockets"]["used"] >= 65536
    assert found["TCP sockets"]["limit"] is None
    assert (found["host"]["some_ns"] is None) is not Path("/proc/pressure/memory").exists()
    record_property("count", 1)


@_rungs("tcp-stalled")
@pytest.mark.parametrize("few", [500, 0])
def test_a_connection_that_nobody_reads_is_stalled_at_both_ends(
    attached: Callable[..., Attachment],
    rung: str,
    few: int,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Record,
) -> None:
    """Few sockets are looked at one by one, many as arrays."""
    monkeypatch.setattr(stalled, "FEW", few)
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listener.getsockname()[1]
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                   for _ in range(3)]  # fmt: skip
        taken = [stack.enter_context(listener.accept()[0]) for _ in clients]
        attachment = attached("tcp-stalled", rung)
        assert values(attachment) == []
        clients[0].setblocking(False)
        deadline, rows = time.monotonic() + 20, list[Values]()
        while len(rows) < 2 and time.monotonic() < deadline:
            with suppress(BlockingIOError):
                while True:
                    clients[0].send(b"x" * 65536)
            time.sleep(0.3)
            rows = values(attachment)
        reads, sends = find(rows, lport=port), find(rows, rport=port)
        assert (reads["reader"], sends["reader"]) == ("process", "peer")
        assert {row["pid"] for row in rows} == {os.getpid()}
        assert {row["alike"] for row in rows} == {3}
        assert reads["queued"] > 4096
        assert sends["queued"] > 0
        taken[0].setblocking(False)
        while rows and time.monotonic() < deadline:  # it is read again
            with suppress(BlockingIOError):
                while True:
                    taken[0].recv(1 << 20)
            time.sleep(0.1)
            rows = values(attachment)
        assert rows == []
    record_property("count", 2)


_CRASHES, _STATUSES = 5, 3
_TO_START = "/nowhere/ebpftop-test"


@_rungs("exits")
def test_processes_that_end_by_their_signal_or_status(
    attached: Callable[..., Attachment], rung: str, record_property: Record
) -> None:
    name = Path("/proc/self/comm").read_text().strip()
    before_it = ("sh", "-c", "ulimit -c 0; sleep 0.05; kill -SEGV $$")
    attachment = attached("exits", rung)
    for _ in range(_CRASHES):
        subprocess.run(before_it, check=False)
    for _ in range(_STATUSES):
        subprocess.run(("sh", "-c", "exit 7"), check=False)
    rows = [row for row in values(attachment) if row["parent"] == name]
    by = {row["end"]: row for row in rows if row["comm"] == "sh"}
    assert (by["SIGSEGV"]["ends"], by["status 7"]["ends"]) == (_CRASHES, _STATUSES)
    assert by["SIGSEGV"]["lived_ns"] >= _CRASHES * 0.05e9
    record_property("count", _CRASHES + _STATUSES)


@_rungs("execs")
def test_programs_that_are_started_and_that_cannot_be(
    attached: Callable[..., Attachment], rung: str, record_property: Record
) -> None:
    attachment = attached("execs", rung)
    script = f"for n in 1 2 3 4; do {_TO_START}; done 2>/dev/null; /bin/true; /bin/true; :"
    subprocess.run(("bash", "-c", script), check=False)
    rows = values(attachment)
    failed = find(rows, file=_TO_START)
    assert (failed["comm"], failed["calls"], failed["failed"]) == ("bash", 4, 4)
    assert failed["error"] == "ENOENT"
    started = find(rows, comm="bash", file="true")
    assert (started["calls"], started["failed"]) == (2, 0)
    record_property("count", 6)


@_rungs("tcp-rtt")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_round_trips_of_old_and_new_connections(
    attached: Callable[..., Attachment], host: str, rung: str, record_property: Record
) -> None:
    with server(host) as port:
        old = talk(host, port, 3)
        attachment = attached("tcp-rtt", rung)
        new = talk(host, port, 20)
        rows = values(attachment)
        mine = {s.getsockname()[1]: s for s in (old, new)}
        before, after = (find(rows, lport=p, rport=port) for p in mine)
        shown = {
            line.split()[3].rpartition(":")[2]: line
            for line in run("ss", "-tniHO", "sport", "=", str(after["lport"])).splitlines()
        }
        for s in mine.values():
            s.close()
    assert (after["laddr"], after["raddr"], before["laddr"]) == (host,) * 3
    assert (before["pid"], after["retransmits"]) == (os.getpid(), 0)
    assert before["srtt_us"] > 0
    rtt_ms = float(shown[str(after["lport"])].partition(" rtt:")[2].split("/")[0])
    assert abs(after["srtt_us"] - rtt_ms * 1000) <= 1, "as ss shows it"
    if rung == "sock_diag":
        assert before["from"] == after["from"] == "sock_diag"
        record_property("count", "levels only")
        return
    if rung in ("sock_ops-link", "sock_ops-multi"):
        assert before["from"] == "sock_diag", "opened before: no callback was asked for"
    assert after["from"] in ("sock_ops", "tcp_probe")
    assert after["samples"] == sum(after["rtt"]) > 0
    record_property("count", after["samples"])


@pytest.mark.parametrize(
    "rung", ["sock_ops-link", "sock_ops-multi", "btf-tracepoint", "tracepoint"]
)
def test_many_open_connections_are_iterated_over(
    attached: Callable[..., Attachment],
    rung: str,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Record,
) -> None:
    """As sock_diag has them, to the last number; nothing that listens, waits or is closed."""
    with ExitStack() as stack:
        talks = []
        for host in ("127.0.0.1", "::1"):
            port = stack.enter_context(server(host))
            talks += [stack.enter_context(talk(host, port, 3)) for _ in range(5)]
            talk(host, port, 1).close()
        time.sleep(0.3)  # an acknowledgement that was delayed makes the last round trip
        attachment = attached("tcp-rtt", rung)
        if missing := [n for n in attachment.status.note.split("; ") if "sock_diag" in n]:
            pytest.skip(missing[0])
        monkeypatch.setattr(open_sockets, "MANY", 8)  # by now: else they are many from the start
        ports = {s.getsockname()[1] for s in talks}
        told, iterated = (
            {r["cookie"]: r for r in values(attachment) if {r["lport"], r["rport"]} & ports}
            for _ in range(2)
        )
    origins = [{r.pop("from") for r in rows.values()} for rows in (told, iterated)]
    assert origins == [{"sock_diag"}, {"iterator"}]
    assert iterated == told
    assert len(iterated) == 2 * len(ports), "both ends"
    record_property("count", len(iterated))


@_rungs("sock-addr")
def test_addresses_that_processes_name(
    attached: Callable[..., Attachment], rung: str, record_property: Record
) -> None:
    """Each call once, by operation, protocol, address and port, with the cgroup of who calls."""
    attachment = attached("sock-addr", rung)
    with name_addresses() as made:
        rows = [r for r in values(attachment) if r["pid"] == os.getpid()]
    seen = {(r["operation"], r["protocol"], r["address"], r["port"]): r["calls"] for r in rows}
    expected: dict[Any, int] = made.standing if _rung("sock-addr", rung).passive else made.asked
    if "tracepoint" in rung:
        unseen = ("recvmsg", "getpeername")
        expected = {key: calls for key, calls in expected.items() if key[0] not in unseen}
    assert seen == expected
    assert {r["cgroup"] for r in rows} == {cgroups.of_process(os.getpid())}
    record_property("count", sum(expected.values()))


@_rungs("tcp-life")
def test_lives_of_connections(
    attached: Callable[..., Attachment], rung: str, record_property: Record
) -> None:
    """Those that are closed, cut off, and open; what they carried, to the byte, at both ends."""
    attachment = attached("tcp-life", rung)
    attachment.read()
    passive = _rung("tcp-life", rung).passive
    with server("127.0.0.1") as port:
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(8)]
        for number, client in enumerate(clients):
            exchange(client, 1000 + number)
        resent = lose(clients[0])
        if passive:
            attachment.read()
        for client in clients[5:7]:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for client in clients[:7]:
            client.close()
        out, inward, log = _lives(attachment, port, 7)
        clients[7].close()
    assert (out["pid"], inward["pid"]) == (os.getpid(), os.getpid())
    for row in (out, inward):
        assert (row["established"], row["closed"], row["open"]) == (8, 7, 1)
    assert out["retransmits"] == resent > 0
    record_property("count", 8)
    if passive:
        return
    carried = sum(1000 + number for number in range(7)) + LOST
    for row in (out, inward):
        assert (row["tx"], row["rx"], row["aborted"]) == (carried, carried, 2)
        assert sum(row["latency"]) == 7
        assert row["total_srtt"] > 0
    assert (out["closed_there"], inward["closed_there"]) == (0, 5)
    assert sorted(e["end"] for e in log) == ["aborted"] * 4 + ["closed"] * 10
    assert {(e["laddr"], e["raddr"]) for e in log} == {("127.0.0.1", "127.0.0.1")}
    for side in ("out", "in"):
        assert sum(e["tx"] for e in log if e["side"] == side) == carried
    assert sum(e["retransmits"] for e in log if e["side"] == "out") == resent


def _lives(attachment: Attachment, port: int, closed: int) -> tuple[Any, Any, list[Any]]:
    """Both ends' rows when so many have ended there, and the log until then."""
    log: list[Any] = []
    for _ in range(200):
        sample = attachment.read()
        log += [e for e in log_of(attachment, sample) if port in (e["lport"], e["rport"])]
        rows = [r for r in rows_of(attachment, sample) if r["port"] == port]
        if len(rows) == 2 and all(r["closed"] == closed for r in rows):
            # What ended between the reading of the log and that of the rows.
            late = log_of(attachment, attachment.read())
            log += [e for e in late if port in (e["lport"], e["rport"])]
            return find(rows, side="out"), find(rows, side="in"), log
        time.sleep(0.05)
    raise AssertionError(f"{rows}")


@_rungs("protocols")
def test_protocols_of_an_interface(
    attached: Callable[..., Attachment], rung: str, record_property: Record
) -> None:
    index, _ = veth()
    attachment = attached("protocols@v0", rung, index)
    if _rung("protocols", rung).passive:
        with name_addresses():
            rows = values(attachment)
        assert find(rows, direction="in", link="ipv6", protocol="udp")["packets"] == 4
        assert find(rows, direction="out", link="ipv6", protocol="udp")["packets"] == 8
        record_property("count", 8)
        return
    packets = {
        ("ipv4", "tcp", "-"): frames.ip("198.51.100.1", frames.TCP, frames.ports(80)),
        ("ipv4", "udp", "dns"): frames.ip("198.51.100.1", frames.UDP, frames.ports(53)),
        ("ipv6", "udp", "quic"): frames.ip("2001:db8::1", frames.UDP, _datagram(443, b"\xc3")),
        ("ipv4", "udp", "-"): frames.ip("198.51.100.1", frames.UDP, _datagram(443, b"\x13")),
        ("arp", "-", "-"): frames.ethernet(frames.ETH_ARP, b"\0" * 28),
        ("0x88b5", "-", "-"): FRAME,
    }
    for number, frame in enumerate(packets.values(), 5):
        send("v1", number, frame)
        send("v0", 2 * number, frame)
    rows = values(attachment)
    seen = {(r["link"], r["protocol"], r["application"], r["direction"]): r for r in rows}
    assert len(seen) == 2 * len(packets)
    for number, (kind, frame) in enumerate(packets.items(), 5):
        for direction, sent in (("in", number), ("out", 2 * number)):
            row = seen[(*kind, direction)]
            assert (row["packets"], row["looked_at"], row["factor"]) == (sent, sent, 1)
            assert row["bytes"] == sent * len(frame)
    record_property("count", sum(r["packets"] for r in rows))


def _datagram(port: int, payload: bytes) -> bytes:
    return frames.ports(port)[:8] + payload * 20


@pytest.mark.parametrize("rung", ["packet-socket"])
def test_protocols_are_sampled_when_the_rate_asks_for_it(
    attached: Callable[..., Attachment], rung: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marked, with what was really looked at; the estimate is near what was sent."""
    index, _ = veth()
    attachment = attached("protocols@v0", rung, index)
    monkeypatch.setattr(protocols, "MOST_LOOKED_AT", 1)
    send("v1", 100)
    (exact,) = values(attachment)
    assert (exact["packets"], exact["looked_at"], exact["factor"]) == (100, 100, 1)
    send("v1", 20_000)
    (row,) = values(attachment)
    factor = row["factor"]
    assert factor > 1
    assert row["packets"] == 100 + factor * (row["looked_at"] - 100)
    # so many looked at by chance: eight times the standard deviation
    assert abs(row["packets"] - 20_100) < 8 * factor * (20_000 / factor) ** 0.5


@_rungs("sk-msg")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_messages_between_local_sockets(
    attached: Callable[..., Attachment], host: str, rung: str, record_property: Record
) -> None:
    """Each once, to the byte, and what arrives is what was sent; also after the hook has gone."""
    attachment = attached("sk-msg", rung)
    sent = [bytes([65 + n]) * (100 + n) for n in range(20)]
    with server(host) as port, socket.create_connection((host, port)) as client:
        for data in sent:
            assert echoed(client, data) == data
        rows = [r for r in values(attachment) if port in (r["lport"], r["rport"])]
        attachment.detach()
        assert echoed(client, b"after") == b"after"
        mine = client.getsockname()[1]
    there, back = (find(rows, rport=p) for p in (port, mine))
    octets = sum(map(len, sent))
    assert (there["laddr"], there["lport"], there["raddr"]) == (host, mine, host)
    assert (back["laddr"], back["lport"], back["raddr"]) == (host, port, host)
    assert (there["messages"], there["bytes"]) == (20, octets)
    assert back["bytes"] == octets
    assert there["pid"] == (os.getpid() if pid_namespace() is None else None)
    record_property("count", 20)


@_rungs("lsm")
def test_security_checks_and_denials(
    attached: Callable[..., Attachment], rung: str, record_property: Record
) -> None:
    """Of a process that does nothing else; refused by capabilities and, lower down, file modes."""
    attachment = attached("lsm", rung)
    attachment.read()
    pid = be_checked()
    sample = attachment.read()
    rows = [r for r in rows_of(attachment, sample) if r["pid"] == pid]
    log = [e for e in log_of(attachment, sample) if e["pid"] == pid]
    seen = {(r["check"], r["what"], r["uid"]): (r["checks"], r["denied"]) for r in rows}
    rare = Counter[str]()
    for row in rows:
        rare[row["check"]] += row["checks"]
    assert rare["ptrace"] == 1
    if Path("/proc/modules").exists():
        # A call is taken for what it has to pass; that a module is asked for is none.
        asked = 0 if "tracepoint" in rung else 1
        assert (rare["load-data"], rare["read-file"], rare["module"]) == (2, 1, asked)
    if "tracepoint" in rung:
        assert seen[("open", "-", 0)] == (7, 0)
        assert seen[("open", "-", 65534)] == (2, 2)
        assert seen[("connect", "-", 0)] == (3, 0)
        assert seen[("bpf", "-", 0)] == (4, 0)
        assert [(e["check"], e["error"]) for e in log] == [("open", "EACCES")] * 2
        record_property("count", 16)
        return
    assert seen[("open", "write", 0)] == (7, 0)
    assert seen[("connect", "unix", 0)] == (3, 0)
    assert seen[("bpf", "map_create", 0)] == (4, 0)
    assert seen[("capable", "sys_admin", 65534)] == (5, 5)
    assert not [key for key in seen if key[0] == "open" and key[2] == 65534]
    # To open a file that is not its own, it is asked for the capabilities that would let it.
    denied = [(e["check"], e["what"], e["error"]) for e in log if e["what"] == "sys_admin"]
    assert denied == [("capable", "sys_admin", "EPERM")] * 5
    assert {e["what"] for e in log} == {"sys_admin", "dac_override", "dac_read_search"}
    with subprocess.Popen(["/bin/true"]) as child:
        child.wait()
    assert find(values(attachment), pid=child.pid, check="exec")["checks"] == 1
    record_property("count", 20)


def test_snapshots_have_rates_on_the_real_kernel(modules: Modules) -> None:
    """The way from the map to the screen's numbers, once whole."""
    attachment = Attachment(catalogue()["syscalls"], modules)
    attachment.climb()
    trail = Trail(attachment.hook)
    trail.snapshot(attachment.read())
    getpgid(0, CALLS)
    snapshot = trail.snapshot(attachment.read())
    attachment.detach()
    row = next(r for r in snapshot.rows if r["syscall"] == "getpgid")
    assert snapshot.interval is not None
    assert row.rate("calls") == pytest.approx(CALLS / snapshot.interval)
    assert isinstance(row["p99_ns"], float)
