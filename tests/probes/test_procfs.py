"""/proc: text in, numbers out; and what any user may see of their own processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from probes import procfs


def _inode(s: socket.socket) -> int:
    return os.fstat(s.fileno()).st_ino


def test_counters_are_named_as_nstat_names_them() -> None:
    text = "Ip: Forwarding InDiscards\nIp: 1 7\nUdp: InErrors\nUdp: 3\n"
    assert procfs._pairs(text) == {"IpForwarding": 1, "IpInDiscards": 7, "UdpInErrors": 3}
    assert procfs._words("Ip6InDiscards      \t4\nodd line here\n") == {"Ip6InDiscards": 4}


def test_the_backlog_s_drops_are_summed_over_the_cpus() -> None:
    text = "00000700 00000010 00000000\n00003d48 0000000a 00000000\n"
    assert procfs._softnet(text) == 26


def test_this_kernel_s_drop_counters_have_no_name_twice() -> None:
    names = [name for name, _ in procfs.drops()]
    assert len(names) == len(set(names))
    assert {"UdpInErrors", "UdpRcvbufErrors", "TcpExtListenDrops", "SoftnetDropped"} <= set(names)


def test_a_socket_s_owner_is_found_and_closed_ones_are_forgotten() -> None:
    owners = procfs.SocketOwners()
    owners.REST = 0.0
    with socket.socket() as one, socket.socket() as other:
        me = procfs.Owner(os.getpid(), procfs.comm(os.getpid()) or "?")
        assert owners.find([_inode(one), 0]) == {_inode(one): me}
        assert owners.find([_inode(other)]) == {_inode(other): me}


def test_a_new_socket_waits_until_the_last_scan_is_paid_for() -> None:
    owners = procfs.SocketOwners()
    owners.REST = 1e9
    with socket.socket() as one, socket.socket() as other:
        assert owners.find([_inode(one)])
        assert owners.find([_inode(one), _inode(other)]).keys() == {_inode(one)}


def test_an_owner_that_ended_is_not_shown_any_more() -> None:
    """The socket lives on in another process, which is found instead."""
    owners = procfs.SocketOwners()
    owners.REST = 0.0
    with socket.socket() as shared:
        command = [sys.executable, "-c", "input()"]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[shared.fileno()])
        try:
            first = owners.find([_inode(shared)])[_inode(shared)]
        finally:
            child.communicate(b"\n")
        assert first.pid in (child.pid, os.getpid())
        owners.find([_inode(shared)])  # forgets the one that ended
        assert owners.find([_inode(shared)])[_inode(shared)].pid == os.getpid()


def test_a_process_is_known_by_its_latest_name() -> None:
    path = Path("/proc/self/comm")
    before = path.read_text().removesuffix("\n")
    try:
        path.write_text("other name")
        assert procfs.comm(os.getpid()) == "other name"
    finally:
        path.write_text(before)
    assert procfs.comm(1 << 30) is None


def test_a_start_time_tells_two_processes_with_one_pid_apart() -> None:
    stat = Path(f"/proc/{os.getpid()}/stat").read_text()
    assert procfs.started(os.getpid()) == int(stat.rpartition(")")[2].split()[19])
    assert procfs.started(1 << 30) is None


def test_reads_and_writes_are_counted_and_never_go_back() -> None:
    """Many writes by a child are in the count, also after it has ended."""
    calls = procfs.FileCalls()
    assert calls.read() == [("read*", 0), ("write*", 0)]
    script = (
        "import os; f = os.open('/dev/null', os.O_WRONLY); "
        "[os.write(f, b'x') for _ in range(100_000)]; print(flush=True); input()"
    )
    command = [sys.executable, "-c", script]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    running = dict(calls.read())
    child.communicate(b"\n")
    ended = dict(calls.read())
    assert running["write*"] >= 100_000
    assert ended["write*"] >= running["write*"]
    assert ended["read*"] >= running["read*"]
