"""/proc: text in, numbers out; and what any user may see of their own processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from probes.kernel import procfs


def _inode(s: socket.socket) -> int:
    return os.fstat(s.fileno()).st_ino


def test_counters_are_named_as_nstat_names_them() -> None:
    text = "Ip: Forwarding InDiscards\nIp: 1 7\nUdp: InErrors\nUdp: 3\n"
    assert procfs._pairs(text) == {"IpForwarding": 1, "IpInDiscards": 7, "UdpInErrors": 3}
    assert procfs._words("Ip6InDiscards      \t4\nodd line here\n") == {"Ip6InDiscards": 4}


def test_the_backlog_s_drops_are_summed_over_the_cpus() -> None:
    text = "00000700 00000010 00000000\n00003d48 0000000a 00000000\n"
    assert procfs._softnet(text) == 26


def test_this_kernel_s_counters_have_nstat_s_names() -> None:
    names = set(procfs.net_counters())
    assert {"UdpInErrors", "UdpRcvbufErrors", "TcpExtListenDrops", "TcpExtSyncookiesSent"} <= names


def test_a_socket_s_owner_is_found_and_closed_ones_are_forgotten() -> None:
    owners = procfs.SocketOwners()
    owners.REST, owners.SLICE = 0.0, 60.0
    with socket.socket() as one, socket.socket() as other:
        me = procfs.Owner(os.getpid(), procfs.comm(os.getpid()) or "?")
        assert owners.find([_inode(one), 0]) == {_inode(one): me}
        assert owners.find([_inode(other)]) == {_inode(other): me}


def test_a_new_socket_waits_until_the_last_scan_is_paid_for() -> None:
    owners = procfs.SocketOwners()
    owners.REST, owners.SLICE = 1e9, 60.0
    with socket.socket() as one, socket.socket() as other:
        assert owners.find([_inode(one)])
        assert owners.find([_inode(one), _inode(other)]).keys() == {_inode(one)}


def test_what_others_take_of_the_cpus_is_not_paid_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan that waited for its turn on a busy host is not one that cost much."""
    owners, pids = procfs.SocketOwners(), procfs.pids
    owners.SLICE = 60.0
    monkeypatch.setattr(procfs, "pids", lambda: time.sleep(0.3) or pids())
    with socket.socket() as one, socket.socket() as other:
        assert owners.find([_inode(one)])
        deadline = time.monotonic() + 10  # 50 times 0.3 seconds would be more
        while _inode(other) not in owners.find([_inode(one), _inode(other)]):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_an_owner_that_ended_is_not_shown_any_more() -> None:
    """The socket lives on in another process, which is found instead."""
    owners = procfs.SocketOwners()
    owners.REST, owners.SLICE = 0.0, 60.0
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


def test_reads_and_writes_are_counted_once_and_never_go_back() -> None:
    """A child's writes count while it runs, and not again when its parent has waited for it."""
    writes = 1_000_000  # so many that whatever else runs here does not matter
    calls = procfs.FileCalls()
    assert calls.read() == [("read*", 0), ("write*", 0)]
    child = subprocess.Popen(
        ["dd", "if=/dev/zero", "of=/dev/null", "bs=1", f"count={writes}", "status=none"]
    )
    try:
        while not (running := dict(calls.read()))["write*"]:
            pass
        child.wait()
    finally:
        child.kill()
        child.wait()
    ended = dict(calls.read())
    assert ended["write*"] >= running["write*"]
    assert writes <= ended["write*"] < writes * 1.5
    assert writes <= ended["read*"] < writes * 1.5


def test_what_others_lose_by_ending_hides_nobody_s_growth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process has a baseline of its own, and a parent inherits what was counted before."""
    parents = {1: 0, 10: 1, 11: 10, 12: 1, 13: 10}
    now: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(procfs, "pids", lambda: sorted(now))
    monkeypatch.setattr(procfs, "_io", now.get)
    monkeypatch.setattr(procfs, "parent", parents.__getitem__)
    calls = procfs.FileCalls()

    def read(**changed: tuple[int, int] | None) -> list[int]:
        for name, value in changed.items():
            if value is None:
                now.pop(int(name[1:]), None)
            else:
                now[int(name[1:])] = value
        return [count for _, count in calls.read()]

    assert read(p1=(100, 100), p10=(1000, 0), p12=(9000, 9000)) == [0, 0]
    assert read(p10=(1010, 0), p11=(50, 5)) == [60, 5], "one that is new counts whole"
    assert read(p11=None, p10=(1070, 7), p12=None) == [70, 7], "waited for: not counted again"
    assert read(p1=(9105, 9100)) == [75, 7], "it took a while until somebody waited for p12"
    assert read(p13=(1, 0)) == [76, 7]
    assert read(p13=None, p10=(1071, 7)) == [76, 7]
    assert read(p10=(1080, 7)) == [85, 7]


def test_mounts_of_any_name_are_found_where_they_are() -> None:
    """Blanks and line ends are in octal, all else is as it is, and none of it is a separator."""
    table = (
        b"none /sys/fs/cgroup cgroup2 rw 0 0\n"
        b"\xb1disk /mnt/\xb1s\\040b\\134 cgroup2 rw 0 0\n"
        b"x /home/u/a\xe2\x80\xa8cgroup2\xe2\x80\x83/evil\xe2\x80\x83cgroup2 fuse.x rw 0 0\n"
        b"x /home/u/a\x85cgroup2\x0c/evil\x0ccgroup2 fuse.cgroup2 rw 0 0\n"
        b"odd\n\n"
    )
    found = [os.fsencode(p) for p in procfs.mounted(table, "cgroup2")]
    assert found == [b"/sys/fs/cgroup", b"/mnt/\xb1s b\\"]


def test_a_scan_of_many_file_descriptors_goes_on_in_the_next_reading() -> None:
    owners = procfs.SocketOwners()
    owners.REST, owners.SLICE, owners.FIRST = 0.0, 0.0, 4
    with socket.socket() as one:
        inode = _inode(one)
        found = [owners.find([inode]) for _ in range(20_000)]
    assert not found[0]
    assert found[-1].keys() == {inode}


def test_a_socket_that_is_closed_meanwhile_is_not_looked_for_any_more() -> None:
    owners = procfs.SocketOwners()
    owners.REST = owners.SLICE = 0.0
    with socket.socket() as one:
        owners.find([_inode(one)])
    assert owners.find([]) == {}
    assert not owners._left
