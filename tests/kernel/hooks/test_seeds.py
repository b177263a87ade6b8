"""Every file that is opened, and bytes sent by process: each rung, exactly what happened."""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from probes.attach.kprobe import FEW_RETURNS
from probes.hooks import catalogue
from probes.kernel import syscall_table
from probes.ladder.attachment import Attachment, Modules
from probes.owners import owner_columns
from probes.owners.processes import NOBODY, ProcessOwner
from tests.support.commands import running
from tests.support.rungs import stood
from tests.support.scenarios import Values, find, log_of, rows_of, sample_of, values

pytestmark = pytest.mark.kernel
Record = Callable[[str, object], None]
OPENED, MISSING = 7, 5
_libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def attached(
    modules: Modules, record_property: Record
) -> Iterator[Callable[[str, str], Attachment]]:
    held: list[Attachment] = []

    def attach(name: str, rung: str) -> Attachment:
        record_property("hook", name)
        record_property("rung", rung)
        attachment = Attachment(catalogue()[name], modules)
        held.append(attachment)
        stood(attachment.climb(pinned=rung, asked=True), record_property)
        return attachment

    yield attach
    for attachment in held:
        attachment.detach()


def _rungs(hook: str) -> Any:
    return pytest.mark.parametrize(
        "rung", [pytest.param(r.name, id=f"{hook}:{r.name}") for r in catalogue()[hook].ladder]
    )


class _Unnamed:
    """Owners of whom nothing is known, and nothing is looked up."""

    def remember(self, owners: object) -> None:
        pass

    def of_all(self, keys: Sequence[int]) -> list[ProcessOwner]:
        return [NOBODY] * len(keys)

    of_cgroups = of_cgroup_ids = of_all

    def namespaces(self, inodes: Sequence[int]) -> list[str | None]:
        return [None] * len(inodes)


# -- opens -----------------------------------------------------------------------------------


@_rungs("opens")
def test_every_open_is_logged_with_its_name(
    attached: Callable[[str, str], Attachment],
    tmp_path: Path,
    rung: str,
    record_property: Record,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(owner_columns, "shared", _Unnamed())  # it opens files in this process
    attachment = attached("opens", rung)
    there, missing = str(tmp_path / "there é"), str(tmp_path / "missing")
    before = _opens(attachment)
    fds = [os.open(there, os.O_CREAT | os.O_RDONLY)]
    fds += [os.open(there, os.O_RDONLY) for _ in range(OPENED - 1)]
    for _ in range(MISSING):
        with pytest.raises(FileNotFoundError):
            os.open(missing, os.O_RDONLY)
    others = _other_calls(there)
    sample = sample_of(attachment)
    for fd in (*fds, *others):
        os.close(fd)
    log = [e for e in log_of(attachment, sample) if e["pid"] == os.getpid()]
    good = [e["result"] for e in log if e["path"] == there]
    assert good == [f"fd {fd}" for fd in (*fds, *others)]
    assert [e["result"] for e in log if e["path"] == missing] == ["ENOENT"] * MISSING
    after = _mine(rows_of(attachment, sample))
    made = (after["opens"] - before[0], after["failed"] - before[1])
    assert made == (OPENED + MISSING + len(others), MISSING)
    assert after["error"] == "ENOENT"
    record_property("count", made[0])


def _other_calls(path: str) -> list[int]:
    """The same by the calls that the C library does not make any more, where there are such."""
    made = []
    where = ctypes.c_char_p(os.fsencode(path))
    for name, arguments in (("open", (where, 0)), ("creat", (where, 0o600))):
        if (number := syscall_table.number(name)) is not None:
            made.append(_libc.syscall(number, *arguments))
    how = (ctypes.c_uint64 * 3)()
    number = syscall_table.number("openat2")
    made.append(_libc.syscall(number, -100, where, ctypes.byref(how), 24))
    assert min(made) >= 0
    return made


def _opens(attachment: Attachment) -> tuple[int, int]:
    rows = [r for r in values(attachment) if r["pid"] == os.getpid()]
    return sum(r["opens"] for r in rows), sum(r["failed"] for r in rows)


def _mine(rows: list[Values]) -> Values:
    return find(rows, pid=os.getpid())


def test_the_one_liner_of_the_readme_logs_opens(tmp_path: Path) -> None:
    """A file's name may hold anything: JSON keeps it, one line stays one line."""
    file = tmp_path / 'a "b"\n\x1b[31m'
    file.touch()
    with running("stream", "--hook", "opens", "--interval", "0.5") as stream:
        assert stream.stdout is not None
        stream.stdout.readline()
        subprocess.run(["cat", str(file)], check=True)
        for _ in range(20):
            (hook,) = json.loads(stream.stdout.readline())["hooks"]
            if any(e["path"] == str(file) for e in hook["log"]):
                return
    raise AssertionError("not in the log")


# -- sent ------------------------------------------------------------------------------------


@contextmanager
def _connected() -> Iterator[socket.socket]:
    """One end of a connection over the loopback; nobody sends from the other."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as s,
        listener.accept()[0],
    ):
        yield s


def _tcp(payload: int, times: int) -> None:
    """So many sends; then one that fails, as the way is closed."""
    with _connected() as s:
        for _ in range(times):
            assert s.send(b"x" * payload) == payload
        s.shutdown(socket.SHUT_WR)
        with pytest.raises(BrokenPipeError):
            s.send(b"x")


def _udp(family: int, host: str, payload: int, times: int, to: str = "") -> None:
    """To a socket that is there: nobody answers with an error."""
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        if family == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        s.bind((host, 0))
        for _ in range(times):
            s.sendto(b"x" * payload, (to or host, s.getsockname()[1]))


@_rungs("sent")
def test_bytes_are_counted_by_process_and_protocol(
    attached: Callable[[str, str], Attachment], rung: str, record_property: Record
) -> None:
    """Also to an IPv4 address from a socket of IPv6, where one call is within another."""
    attachment = attached("sent", rung)
    _tcp(1000, 5)
    _udp(socket.AF_INET, "127.0.0.1", 100, 3)
    _udp(socket.AF_INET6, "::1", 50, 3)
    _udp(socket.AF_INET6, "::", 10, 2, to="::ffff:127.0.0.1")
    rows = [r for r in values(attachment) if r["pid"] == os.getpid()]
    tcp, udp = find(rows, protocol="tcp"), find(rows, protocol="udp")
    assert (tcp["bytes"], tcp["sends"], tcp["failed"]) == (5000, 6, 1)
    assert (udp["bytes"], udp["sends"], udp["failed"]) == (3 * 100 + 3 * 50 + 2 * 10, 8, 0)
    record_property("count", tcp["bytes"] + udp["bytes"])


@_rungs("sent")
def test_bytes_that_go_through_programs_on_messages_are_counted_as_well(
    attached: Callable[[str, str], Attachment], rung: str
) -> None:
    """sk_msg: the kernel gives the sockets of a sockhash other functions to send by."""
    attached("sk-msg", "sk_msg-attach")
    attachment = attached("sent", rung)
    _tcp(1000, 5)
    rows = [r for r in values(attachment) if r["pid"] == os.getpid()]
    assert find(rows, protocol="tcp")["bytes"] == 5000


@_rungs("sent")
def test_what_sendfile_sends_is_counted(
    attached: Callable[[str, str], Attachment], tmp_path: Path, rung: str
) -> None:
    attachment = attached("sent", rung)
    file = tmp_path / "file"
    file.write_bytes(b"x" * 10_000)
    with file.open("rb") as opened, _connected() as s:
        assert os.sendfile(s.fileno(), opened.fileno(), 0, 10_000) == 10_000
    assert find(values(attachment), pid=os.getpid(), protocol="tcp")["bytes"] == 10_000


@_rungs("sent")
def test_sends_in_the_middle_of_others_are_counted_or_told(
    attached: Callable[[str, str], Attachment], rung: str
) -> None:
    """Threads that take turns on one CPU, where a task may be stopped within the program: what
    comes meanwhile is not run, so it is lost, and no count of another's is overwritten."""
    threads, times, payload = 4, 2000, 10
    attachment = attached("sent", rung)

    def work() -> None:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        _udp(socket.AF_INET, "127.0.0.1", payload, times)

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work) for _ in range(threads)]:
            done.result()
    sample = sample_of(attachment)
    row = find(rows_of(attachment, sample), pid=os.getpid(), protocol="udp")
    assert row["bytes"] == payload * row["sends"]
    if rung == "kprobe":
        assert FEW_RETURNS in attachment.status.note
        assert 0 < row["sends"] <= threads * times
        return
    assert row["sends"] <= threads * times <= row["sends"] + sample.lost
