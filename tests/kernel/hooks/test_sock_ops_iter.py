"""Connections that were open before: they get the callbacks, and give them back."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from probes.hooks.tcp_rtt import callback_flags, open_sockets, sock_ops_iter
from probes.hooks.tcp_rtt.sock_ops_programs import SockOpsPrograms
from probes.kernel import cgroups
from probes.kernel.netlink import sock_diag
from probes.ladder.attachment import Attachment, Modules
from probes.model import HookId, State
from tests.support import calls
from tests.support.commands import COMMAND, ROOT
from tests.support.events import lose, server, talk
from tests.support.foreign import Somebody, own_cgroup, somebody
from tests.support.foreign_process import ADDRESS
from tests.support.namespaces import namespace, run
from tests.support.rungs import pinned, standing
from tests.support.scenarios import Values, find, values
from tests.support.shortage import files_left

pytestmark = pytest.mark.kernel

RUNG = "sock_ops-iter"
_SOCK_OPS = 3
TALK = 20


@pytest.fixture(autouse=True, params=["few", "many"])
def _many(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As rows, and as columns."""
    if request.param == "many":
        monkeypatch.setattr(open_sockets, "MANY", 1)


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    """Alone: any other ebpftop gives flags to new connections, wherever they are."""
    deadline = time.monotonic() + 20
    while SockOpsPrograms().read() and time.monotonic() < deadline:
        time.sleep(0.1)
    with namespace():
        yield


@pytest.fixture
def port() -> Iterator[int]:
    with server(ADDRESS) as port:
        yield port


@pytest.fixture
def old(port: int) -> Iterator[socket.socket]:
    with closing(talk(ADDRESS, port, 3)) as connection:
        yield connection


@pytest.fixture
def attached(modules: Modules, old: socket.socket) -> Iterator[Attachment]:  # noqa: ARG001
    """The rung, when the old connection was there already."""
    with standing(modules, "tcp-rtt", rung=RUNG, passive=False) as attachment:
        yield attachment


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Somebody]:
    with somebody(tmp_path) as other:
        yield other


def _go_on(connection: socket.socket, messages: int = TALK) -> None:
    for _ in range(messages):
        connection.sendall(b"x")
        connection.recv(1)


def _row(attachment: Attachment, connection: socket.socket) -> Values:
    return find(values(attachment), lport=connection.getsockname()[1])


def _listening(other: Somebody) -> int:
    """Somebody's sock_ops program, on the root cgroup."""
    program = other.load("callbacks", "acme_rtt")
    other.ask("link", program, str(cgroups.root()), _SOCK_OPS, 0)
    return program


# -- what is counted ---------------------------------------------------------------------------


def test_an_old_connection_s_samples_are_those_that_a_second_program_sees(
    attached: Attachment, modules: Modules, old: socket.socket
) -> None:
    assert _row(attached, old)["samples"] == 0
    with pinned(Modules(modules._compiler), HookId("tcp-rtt"), "sock_ops-link", 0) as beside:
        assert beside is not None
        _go_on(old)
        ours, theirs = (_row(a, old) for a in (attached, beside))
    assert ours["from"] == "sock_ops"
    assert ours["samples"] == sum(ours["rtt"]) > 0
    assert ours == theirs


def test_it_has_the_numbers_of_ss(attached: Attachment, old: socket.socket) -> None:
    """Also those that move after the last callback, and what was resent."""
    old.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    _go_on(old)
    resent = lose(old)
    for _ in range(2):
        row = _row(attached, old)
        shown = run("ss", "-tniHO", "sport", "=", str(row["lport"]))
        rtt, least = (
            float(shown.partition(f" {name}:")[2].split("/")[0].split()[0])
            for name in ("rtt", "minrtt")
        )
        assert (row["srtt_us"], row["min_us"]) == (round(rtt * 1000), round(least * 1000))
        assert row["retransmits"] == resent == int(shown.partition(" retrans:0/")[2].split()[0])
        assert row["sent"] == int(shown.partition(" data_segs_out:")[2].split()[0])
        _go_on(old, 1)
        time.sleep(0.1)
    assert row["pid"] == os.getpid()


def test_only_connections_that_fell_silent_are_asked_for(
    attached: Attachment, old: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once: the estimate moves on after the last callback."""
    asked: list[int] = []
    found = sock_diag.found

    def counted(sockets: Sequence[sock_diag.Ends]) -> list[sock_diag.TcpSocket | None]:
        asked.extend(s.lport for s in sockets)
        return found(sockets)

    monkeypatch.setattr(sock_diag, "found", counted)
    for times in range(3):
        assert asked.count(old.getsockname()[1]) == times
        _go_on(old)
        _row(attached, old)
        assert asked.count(old.getsockname()[1]) == times
        time.sleep(0.1)
        for _ in range(3):
            _row(attached, old)


def test_many_that_fell_silent_are_visited(
    attached: Attachment, old: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    _go_on(old)
    _row(attached, old)
    time.sleep(0.1)
    told = _row(attached, old)
    monkeypatch.setattr(sock_ops_iter, "FEW", 0)
    monkeypatch.setattr(sock_diag, "found", None)
    for _ in range(3):
        assert _row(attached, old) == told


def test_rows_go_with_their_connections(
    attached: Attachment, old: socket.socket, port: int
) -> None:
    _go_on(old)
    here = old.getsockname()[1]
    assert _row(attached, old)["samples"]
    old.close()
    deadline = time.monotonic() + 5
    while any(here in (r["lport"], r["rport"]) for r in values(attached)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with closing(talk(ADDRESS, port, 3)) as new:
        assert _row(attached, new)["from"] == "sock_ops"


def test_a_socket_that_connects_again_has_its_new_ends(
    attached: Attachment, old: socket.socket, port: int
) -> None:
    """Its cookie stays; whether a reading came between or not."""
    before = old.getsockname()[1]
    _go_on(old)
    assert _row(attached, old)["samples"]
    for read in (False, True):
        assert calls.connect(old.fileno(), bytes(16)) == 0  # AF_UNSPEC
        if read:
            values(attached)
        old.connect((ADDRESS, port))
        _go_on(old)
        row = _row(attached, old)
        assert row["lport"] != before
        assert 0 < row["samples"] == sum(row["rtt"])
        assert not [r for r in values(attached) if r["lport"] == before]
        before = row["lport"]


_MPTCP = 262  # IPPROTO_MPTCP


def test_subflows_of_mptcp_have_samples(modules: Modules) -> None:
    try:
        listener, one = (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM, _MPTCP) for _ in range(2)
        )
    except OSError as refused:
        pytest.skip(f"this kernel has no MPTCP: {refused}")
    with listener, one:
        listener.bind((ADDRESS, 0))
        listener.listen()
        one.connect(listener.getsockname())
        with (
            listener.accept()[0] as other,
            standing(modules, "tcp-rtt", rung=RUNG, passive=False) as attachment,
        ):
            for _ in range(TALK):
                for a, b in ((one, other), (other, one)):
                    a.sendall(b"x")
                    b.recv(1)
            row = _row(attachment, one)
    assert (row["pid"], row["from"]) == (os.getpid(), "sock_ops")
    assert row["samples"] == sum(row["rtt"]) > 0


def test_what_is_no_connection_is_left_alone(modules: Modules) -> None:
    """One that listens, one in TIME_WAIT, and a request that nobody has accepted."""
    with socket.create_server((ADDRESS, 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)
        port = listener.getsockname()[1]
        with server(ADDRESS) as echo:
            waiting = talk(ADDRESS, echo, 3)
            waits_at = waiting.getsockname()[1]
            waiting.close()
            with (
                socket.create_connection((ADDRESS, port)) as asks,
                standing(modules, "tcp-rtt", rung=RUNG, passive=False) as attachment,
            ):
                time.sleep(0.05)
                rows = values(attachment)
                assert not [r for r in rows if waits_at in (r["lport"], r["rport"])]
                (row,) = (r for r in rows if port in (r["lport"], r["rport"]))
                assert (row["lport"], row["from"]) == (asks.getsockname()[1], "sock_ops")
                asks.sendall(b"x")  # now it is a connection
                with listener.accept()[0] as accepted:
                    accepted.recv(1)
                    assert len([r for r in values(attachment) if r["lport"] == port]) == 1


# -- other network namespaces --------------------------------------------------------------------

_TALKER = """
import socket, sys
there = socket.create_server(("127.0.0.1", 0))
one = socket.create_connection(there.getsockname())
other, _ = there.accept()
print(one.getsockname()[1], flush=True)
for _ in sys.stdin:
    for _ in range(20):
        one.sendall(b"x"), other.recv(1), other.sendall(b"x"), one.recv(1)
    print("done", flush=True)
"""


@contextmanager
def _elsewhere(group: Path) -> Iterator[tuple[int, int, Callable[[], None]]]:
    """A process in its own network namespace: its pid, its connection's port; make it talk."""
    enter = f"echo $$ >{group}/cgroup.procs && ip link set lo up"
    script = f"{enter} && exec {sys.executable} -c '{_TALKER}'"
    command = ["unshare", "--net", "sh", "-c", script]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout
        lport = int(stdout.readline())

        def go_on() -> None:
            print(flush=True, file=stdin)
            assert stdout.readline() == "done\n"

        try:
            yield process.pid, lport, go_on
        finally:
            process.kill()


def _found(attachment: Attachment, pid: int, lport: int) -> Values:
    """Their rows, as soon as their namespace was found."""
    deadline = time.monotonic() + 10
    while True:
        rows = [r for r in values(attachment) if (r["pid"], r["lport"]) == (pid, lport)]
        if rows or time.monotonic() > deadline:
            return find(rows, lport=lport)
        time.sleep(0.05)


def test_connections_of_other_network_namespaces(modules: Modules) -> None:
    """Those of one that is there, and of one that comes later."""
    with (
        own_cgroup() as group,
        _elsewhere(group) as (pid, lport, go_on),
        standing(modules, "tcp-rtt", rung=RUNG, passive=False) as attachment,
        _elsewhere(group) as (later, its, goes_on),
    ):
        for who, port, talks in ((pid, lport, go_on), (later, its, goes_on)):
            row = _found(attachment, who, port)
            assert (row["samples"], row["from"]) == (0, "sock_ops")
            talks()
            row = _found(attachment, who, port)
            assert row["samples"] == sum(row["rtt"]) > 0


# -- other sock_ops programs -----------------------------------------------------------------------


def test_somebody_s_sock_ops_program_refuses_it(
    modules: Modules, other: Somebody, old: socket.socket
) -> None:
    """The next rung polls; its connections never call that program."""
    program = _listening(other)
    refusal = callback_flags.refused()
    assert refusal is not None
    if "acme" not in refusal.why:
        pytest.skip(refusal.why)
    assert f"acme_rtt#{program}" in refusal.why
    with standing(modules, "tcp-rtt") as attachment:
        status = attachment.status
        assert (status.rung, status.refused[0].rung) == ("sock_ops-link", RUNG)
        _go_on(old)
        told_by = "iterator" if open_sockets.MANY == 1 else "sock_diag"
        assert _row(attachment, old)["from"] == told_by
    assert other.seen(program) == 0


def test_one_that_comes_later_makes_it_step_back(
    attached: Attachment, other: Somebody, old: socket.socket
) -> None:
    """It polls until that one has gone."""
    _go_on(old)
    assert _row(attached, old)["samples"]
    program = _listening(other)
    row = _row(attached, old)
    note = attached.status.note
    assert f"acme_rtt#{program}" in note
    assert row["from"] in ("sock_diag", "iterator")
    assert (row["samples"], row["pid"]) == (None, os.getpid())
    _go_on(old)
    assert other.seen(program) == 0
    assert _row(attached, old)["srtt_us"] > 0
    other.close()
    deadline = time.monotonic() + 5
    while _row(attached, old)["from"] != "sock_ops":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "acme" not in attached.status.note
    _go_on(old)
    assert _row(attached, old)["samples"] > 0


def test_one_that_cannot_be_asked_for_is_still_there(other: Somebody) -> None:
    """While the process has no file descriptors left; its id would not be met again."""
    program = other.load("callbacks", "acme_rtt")
    programs = SockOpsPrograms()
    there = dict(programs.read())
    assert program in there
    with files_left(0):
        assert programs.read() == there
    assert programs.read() == there
    other.close()
    deadline = time.monotonic() + 5
    while program in programs.read():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# -- what is left ----------------------------------------------------------------------------------


def test_no_connection_has_callbacks_when_it_has_gone(
    attached: Attachment, other: Somebody, old: socket.socket, port: int
) -> None:
    """Neither old nor new ones, nor what is accepted by a socket that listened meanwhile."""
    with closing(talk(ADDRESS, port, 3)) as new:
        _go_on(old)
        assert all(_row(attached, s)["samples"] for s in (old, new))
        assert attached.detach().state is State.DETACHED
        program = _listening(other)
        with closing(talk(ADDRESS, port, TALK)):
            for connection in (old, new):
                _go_on(connection)
        assert other.seen(program) == 0


def test_flags_of_others_stay(modules: Modules, other: Somebody, port: int) -> None:
    """An earlier program set the same on a connection: they are not ours to take back."""
    with standing(modules, "tcp-rtt", rung="sock_ops-link", passive=False):
        connection = talk(ADDRESS, port, 3)
    with closing(connection):
        with standing(modules, "tcp-rtt", rung=RUNG, passive=False) as attachment:
            _go_on(connection)
            assert _row(attachment, connection)["samples"]
        program = _listening(other)
        _go_on(connection)
        assert other.seen(program) > 0


def test_a_second_one_goes_on_when_the_first_has_gone(
    modules: Modules, old: socket.socket, other: Somebody, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives the connections the flags again, and so takes them back when it leaves."""
    monkeypatch.setattr(callback_flags.NetNamespaces, "AGAIN", 0.0)
    monkeypatch.setattr(callback_flags.OtherNamespaces, "REST", 0.0)
    apart = (Modules(modules._compiler) for _ in range(2))
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(standing(m, "tcp-rtt", rung=RUNG, passive=False)) for m in apart
        )
        _go_on(old)
        counted = _row(second, old)["samples"]
        assert counted == _row(first, old)["samples"] > 0
        first.detach()
        _row(second, old)
        _go_on(old)
        assert _row(second, old)["samples"] > counted
    program = _listening(other)
    _go_on(old)
    assert other.seen(program) == 0


def test_a_kill_leaves_flags_without_a_program(other: Somebody, old: socket.socket) -> None:
    """They do nothing; a sock_ops program that is attached later gets these callbacks."""
    if (refusal := callback_flags.refused()) is not None:
        pytest.skip(refusal.why)
    command = [*COMMAND, "stream", "--interval", "0.2", "--hook", "tcp-rtt", "--budget", "off"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while json.loads(process.stdout.readline())["hooks"][0]["rung"] != RUNG:
            pass
        process.send_signal(signal.SIGKILL)
    program = _listening(other)
    _go_on(old)
    assert other.seen(program) > 0
