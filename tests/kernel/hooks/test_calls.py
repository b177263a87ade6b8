"""Each system call that a process made is counted once, by its name, with what the process saw.

On each rung, beside what the processes themselves counted.
"""

from __future__ import annotations

import errno
import os
import platform
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from probes.kernel import syscall_table
from probes.ladder.attachment import Attachment, Modules
from tests.support import calls
from tests.support.events import connect, free_port, server
from tests.support.namespaces import namespace
from tests.support.rungs import standing
from tests.support.scenarios import Values, rows_of, values

pytestmark = [pytest.mark.kernel]

RUNGS = ("btf-tracepoint", "raw-tracepoint", "tracepoint")
on_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="calls of x86")
GETPGID = syscall_table.number("getpgid") or 0


def _row(attachment: Attachment, **wanted: object) -> tuple[int, int]:
    """Calls and errors of the one row that has these values; 0, 0 where there is none."""
    found = [r for r in values(attachment) if wanted.items() <= r.items()]
    assert len(found) <= 1, found
    return (int(found[0]["calls"]), int(found[0]["errors"])) if found else (0, 0)


@pytest.mark.parametrize("rung", RUNGS)
def test_calls_that_seccomp_refuses_are_counted(modules: Modules, rung: str) -> None:
    with standing(modules, "syscall-processes@getpgid", rung=rung, passive=False) as attachment:
        pid, given = calls.in_child(lambda: calls.refused(GETPGID, errno.EXDEV, 100))
        assert given == 100
        assert _row(attachment, pid=pid) == (100, 100)


@pytest.mark.parametrize("rung", RUNGS)
def test_errors_that_are_ordinary_answers_of_the_call_are_no_failures(
    modules: Modules, rung: str
) -> None:
    with standing(modules, "syscall-processes@getpgid", rung=rung, passive=False) as attachment:
        harmed, given = calls.in_child(lambda: calls.refused(GETPGID, errno.EXDEV, 60))
        assert given == 60
        for _ in range(40):
            with pytest.raises(ProcessLookupError):
                os.getpgid(2**22 - 1)
        rows = {row["pid"]: row for row in values(attachment)}
    told = [
        [rows[pid][c] for c in ("errors", "failures", "errno")] for pid in (harmed, os.getpid())
    ]
    assert told == [[60, 60, "EXDEV"], [40, 0, None]]


def test_another_call_needs_no_compiler(modules: Modules, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked for in an incident, on a host with no room for the compiler."""
    with standing(modules, "syscall-processes@getsid", passive=False):
        pass
    monkeypatch.setattr(modules._compiler, "ask", lambda _: pytest.fail("it was compiled"))
    with standing(modules, "syscall-processes@getpgid", passive=False) as attachment:
        for _ in range(40):
            os.getpgid(0)
        os.getsid(0)
        mine = [row for row in values(attachment) if row["pid"] == os.getpid()]
    assert [row["calls"] for row in mine] == [40]


@pytest.mark.parametrize("rung", RUNGS)
@on_x86
def test_calls_through_other_tables_are_never_given_this_ones_names(
    modules: Modules, rung: str
) -> None:
    """getpgid of i386 (132 there, which is utime here), of x32, and numbers that are nobody's."""
    with standing(modules, "syscalls", rung=rung, passive=False) as attachment:
        foreign = ("32-bit getpgid", "x32 getpgid", "other numbers", "#511")
        before = {name: _row(attachment, syscall=name) for name in (*foreign, "utime", "getpgid")}
        _, old = calls.in_child(lambda: calls.through_int80(132, 50) and 0)
        calls.in_child(lambda: calls.failing(syscall_table.X32 | GETPGID, errno.ENOSYS, 40))
        for number, times in ((511, 30), (600, 20), (100_000, 10)):
            _, given = calls.in_child(lambda n=number, t=times: calls.failing(n, errno.ENOSYS, t))
            assert given == times
        now = {name: _row(attachment, syscall=name) for name in before}
    added = {name: now[name][0] - calls_before for name, (calls_before, _) in before.items()}
    expected = {"x32 getpgid": 40, "#511": 30, "other numbers": 30, "utime": 0, "getpgid": 0}
    if old != -1:  # a kernel without i386's calls kills who makes one
        expected["32-bit getpgid"] = 50
    assert {name: added[name] for name in expected} == expected


@pytest.mark.parametrize("rung", RUNGS)
@on_x86
def test_calls_of_x32_are_counted_with_what_they_give(modules: Modules, rung: str) -> None:
    if not calls.has_x32():
        pytest.skip("this kernel makes no x32 calls (syscall.x32=y)")
    number = syscall_table.X32 | GETPGID
    with standing(modules, "syscall-processes@x32 getpgid", rung=rung, passive=False) as attachment:
        pid, given = calls.in_child(lambda: calls.failing(number, errno.ESRCH, 20))
        assert given == 20
        assert _row(attachment, pid=pid) == (20, 20)


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("restart", [True, False])
def test_a_call_that_is_restarted_is_one_without_an_error(
    modules: Modules, rung: str, restart: bool
) -> None:
    """And one that ends with EINTR is one with an error, as the process sees it."""
    with standing(modules, "syscall-processes@waitid", rung=rung, passive=False) as attachment:
        pid, given = calls.in_child(lambda: calls.interrupted(restart=restart))
        assert restart == (given == 0)
        assert _row(attachment, pid=pid) == (given + 1, given)


@pytest.mark.parametrize("rung", RUNGS)
def test_an_execve_by_a_second_thread_is_counted_once_and_nothing_is_made_up(
    modules: Modules, rung: str
) -> None:
    """Its thread's number goes to a later process, which executes nothing."""
    with standing(modules, "syscall-processes@execve", rung=rung, passive=False) as attachment:
        reader, writer = os.pipe()
        made = [calls.in_child(lambda: calls.exec_by_thread(writer))[0] for _ in range(5)]
        threads = struct.unpack("=5I", os.read(reader, 20))
        os.close(reader)
        os.close(writer)
        assert [_row(attachment, pid=pid) for pid in made] == [(1, 0)] * 5
        if calls.have_number(threads[-1]):
            assert _row(attachment, pid=threads[-1]) == (0, 0)


def _threads(times: int) -> int:
    for _ in range(times):
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()
    return 0


def _programs(times: int) -> int:
    for _ in range(times):
        subprocess.run(["/bin/true"], check=True)
    return 0


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize(("call", "make"), [("clone3", _threads), ("vfork", _programs)])
def test_a_call_that_returns_twice_is_one(
    modules: Modules, rung: str, call: str, make: Callable[[int], int]
) -> None:
    """Once to who made it, and once to the new thread, or the process that borrows its memory."""
    with standing(modules, f"syscall-processes@{call}", rung=rung, passive=False) as attachment:
        pid, code = calls.in_child(lambda: make(7))
        assert code == 0
        found = _row(attachment, pid=pid)
        if found == (0, 0):
            pytest.skip(f"this libc makes them otherwise than by {call}()")
        assert found == (7, 0)
        assert sum(r["calls"] for r in values(attachment) if r["pid"] == pid) == 7


@on_x86
def test_files_that_are_opened_by_calls_of_32_bits_are_seen(modules: Modules) -> None:
    """By openat and by open of i386; on the rung that sees every call."""
    with standing(modules, "opens", rung="btf-tracepoint", passive=False) as attachment:
        cwd, path = -100 & 0xFFFFFFFF, b"/proc/self/status"
        pid, _ = calls.in_child(lambda: calls.through_int80(295, 3, cwd, path) < 0)
        other, given = calls.in_child(lambda: calls.through_int80(5, 2, b"/nonexistent") >= 0)
        rows = {r["pid"]: (r["opens"], r["failed"]) for r in values(attachment)}
    if given == -1:
        pytest.skip("this kernel has no calls of i386")
    assert rows[pid] == (3, 0)
    assert rows[other] == (2, 2)


def test_what_the_log_has_no_room_for_is_counted_and_not_called_lost(modules: Modules) -> None:
    """1,300 connects between two readings, of which the log keeps 1,024."""
    with namespace(), standing(modules, "tcp-connect", passive=False) as attachment:
        port = free_port("127.0.0.1")
        attachment.read()
        assert connect("127.0.0.1", port, 1300) == 1300
        sample = attachment.read()
        (row,) = [r for r in rows_of(attachment, sample) if r["rport"] == port]
        assert row["refused"] == 1300
        assert sample.lost == 0
        assert sample.unlogged == 1300 - len(sample.log) > 0


def test_what_is_sent_by_mptcp_is_counted_as_tcp(modules: Modules) -> None:
    with (
        namespace(),
        server("127.0.0.1") as port,
        standing(modules, "sent", passive=False) as attachment,
    ):
        try:
            s = socket.socket(proto=262)
        except OSError:
            pytest.skip("this kernel has no MPTCP")

        def ours() -> int:
            mine = [r for r in values(attachment) if r["pid"] == os.getpid()]
            return sum(int(r["bytes"]) for r in mine if r["protocol"] == "tcp")

        with s:
            s.connect(("127.0.0.1", port))
            before = ours()
            s.sendall(b"x" * 1000)
            while not s.recv(4096):
                pass
            assert ours() - before in (1000, 2000)  # the echo is ours, too


# -- more processes than there is room for ---------------------------------------------------

_FORKS = """
import os, socket, sys
n, port = int(sys.argv[1]), int(sys.argv[2])
for i in range(n):
    if (pid := os.fork()) == 0:
        if port:
            socket.socket().connect(("127.0.0.1", port))
        else:
            os.getpgid(0)
        os._exit(0)
    os.waitpid(pid, 0)
"""


def _forks(number: int, port: int) -> None:
    command = [sys.executable, "-S", "-c", _FORKS, str(number), str(port)]
    subprocess.run(command, check=True)


def _sums(attachment: Attachment, column: str, batches: int, size: int, port: int) -> list[int]:
    """What all rows say together, after each batch of processes."""
    sums = []
    for _ in range(batches):
        _forks(size, port)
        rows = [r for r in values(attachment) if _ours(r, port)]
        sums.append(sum(int(r[column]) for r in rows))
    return sums


def _ours(row: Values, port: int) -> bool:
    return not port or row["rport"] in (port, None)


@pytest.mark.anywhere
@pytest.mark.parametrize("size", [1000])
def test_no_process_is_missing_from_the_sum_of_calls(modules: Modules, size: int) -> None:
    """Of 6,000 processes there is room for 4,096: the others are in a row of others."""
    with standing(modules, "syscall-processes@getpgid", passive=False) as attachment:
        sums = _sums(attachment, "calls", 6, size, 0)
        assert sums == [size * n for n in range(1, 7)]
        (others,) = [r for r in values(attachment) if r["comm"] == "(others)"]
        assert others["pid"] is None


@pytest.mark.anywhere
def test_no_connect_is_missing_from_the_sum_by_its_port(modules: Modules) -> None:
    """Of 10,000 processes there is room for 8,192: what ended is in one row, with its port."""
    with (
        namespace(),
        server("127.0.0.1") as port,
        standing(modules, "tcp-connect", passive=False) as attachment,
    ):
        sums = _sums(attachment, "established", 5, 2000, port)
        assert sums == [2000 * n for n in range(1, 6)]
        ended = [r for r in values(attachment) if r["pid"] is None and r["rport"] == port]
        assert len(ended) == 1
