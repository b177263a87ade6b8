"""One process has one pid and one name: on each rung those of /proc, whoever of it is at work."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from probes.compile.compiler import Compiler
from probes.custom import builder
from probes.hooks import catalogue
from probes.kernel import procfs
from probes.ladder.attachment import Modules
from probes.model import HookId
from tests.support import connecting, uring
from tests.support.events import free_port
from tests.support.rungs import standing
from tests.support.scenarios import log_of, rows_of, sample_of, values
from tests.support.threaded import GETPGIDS, LEADER, Threaded, threaded

pytestmark = pytest.mark.kernel

NAMED = (
    "cgroup-bytes", "dns", "lsm", "opens", "sent", "sock-addr", "syscall-processes@getpgid",
    "tcp-connect", "tcp-life",
)  # fmt: skip
ANY_CALL = "tracepoint:syscalls:sys_enter_getpgid,by=pid"


def _rungs(*specs: str) -> list[tuple[str, str]]:
    found = [(spec, catalogue()[HookId.parse(spec).hook]) for spec in specs]
    return [(spec, rung.name) for spec, hook in found for rung in hook.ladder if rung.source]


@pytest.fixture(scope="module")
def process() -> Iterator[Threaded]:
    with threaded() as started:
        yield started


@pytest.mark.parametrize(("spec", "rung"), _rungs(*NAMED))
def test_what_a_thread_does_is_its_process_s(
    modules: Modules, process: Threaded, spec: str, rung: str
) -> None:
    with standing(modules, spec, rung=rung, passive=False) as attachment:
        process.work()
        sample = sample_of(attachment)
        mine = [row for row in rows_of(attachment, sample) if row["pid"] == process.pid]
        logged = [e for e in log_of(attachment, sample) if e.get("pid") == process.pid]
    assert mine
    assert {row["comm"] for row in (*mine, *logged)} == {LEADER}
    assert Path(f"/proc/{process.pid}/comm").read_text() == f"{LEADER}\n"


# -- inside a PID namespace ------------------------------------------------------------------


@pytest.fixture(scope="module")
def nested() -> Iterator[Threaded]:
    """Three PID namespaces deep."""
    with threaded(*("unshare", "--pid", "--fork", "--mount-proc") * 3) as started:
        assert len(started.pids) == 4
        yield started


class _Seen:
    """Modules for a process that is `levels` PID namespaces above the nested one."""

    def __init__(self) -> None:
        self._made: dict[int, Modules] = {}
        self._closing = ExitStack()

    def at(self, levels: int, inside: Threaded, monkeypatch: pytest.MonkeyPatch) -> Modules:
        pid = inside.pid
        for _ in range(levels):
            pid = _parent_namespace_s(pid)
        found = Path(f"/proc/{pid}/ns/pid").stat()
        monkeypatch.setattr(procfs, "pid_namespace", lambda: (found.st_dev, found.st_ino))
        if levels not in self._made:
            compiler = Compiler(catalogue().values(), cached=True)
            self._closing.callback(compiler.close)
            self._made[levels] = Modules(compiler)
        return self._made[levels]

    def close(self) -> None:
        self._closing.close()


def _parent_namespace_s(pid: int) -> int:
    """The process that made the PID namespace of another one."""
    here = Path(f"/proc/{pid}/ns/pid").stat().st_ino
    while Path(f"/proc/{pid}/ns/pid").stat().st_ino == here:
        pid = procfs.parent(pid)
    return pid


@pytest.fixture(scope="module")
def seen() -> Iterator[_Seen]:
    made = _Seen()
    yield made
    made.close()


@pytest.mark.parametrize("levels", [0, 1])
@pytest.mark.parametrize(("spec", "rung"), _rungs("tcp-connect", "syscall-processes@getpgid"))
def test_pids_are_those_of_the_viewer(
    seen: _Seen, nested: Threaded, monkeypatch: pytest.MonkeyPatch,
    spec: str, rung: str, levels: int,
) -> None:  # fmt: skip
    """What has no pid in its namespace (this test) has 0, as getppid() gives for such a parent."""
    modules = seen.at(levels, nested, monkeypatch)
    with standing(modules, spec, rung=rung, passive=False) as attachment:
        nested.work()
        os.getpgid(0)
        rows = values(attachment)
    pids = {row["pid"] for row in rows if row["comm"] == LEADER}
    assert pids == {nested.pids[-1 - levels]}
    assert os.getpid() not in {row["pid"] for row in rows}


def test_a_condition_on_a_pid_means_the_viewer_s(
    seen: _Seen, nested: Threaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = seen.at(1, nested, monkeypatch)
    hook = builder.hook(f"{ANY_CALL},where=pid=={nested.pids[-2]}")
    with standing(modules, hook, rung="tracepoint", passive=False) as attachment:
        nested.work()
        (row,) = values(attachment)
    assert (row["pid"], row["comm"], row["events"]) == (nested.pids[-2], LEADER, GETPGIDS)


@pytest.mark.parametrize("polled", [False, True], ids=["worker", "sqpoll"])
@pytest.mark.parametrize(("spec", "rung"), _rungs("tcp-connect"))
def test_what_io_uring_does_is_its_process_s(
    modules: Modules, spec: str, rung: str, *, polled: bool
) -> None:
    port = free_port("127.0.0.1")
    how = 0 if polled else uring.ASYNC
    with (
        uring.ring(polled=polled) as ring,
        standing(modules, spec, rung=rung, passive=False) as attachment,
    ):
        if ring is None:
            pytest.skip("no io_uring here")
        for _ in range(3):
            with socket.socket() as s:
                name = connecting.name4("127.0.0.1", port)
                assert ring.connect(s.fileno(), name, how) == -errno.ECONNREFUSED
        (row,) = [r for r in values(attachment) if r["rport"] == port]
    comm = Path("/proc/self/comm").read_text().removesuffix("\n")
    assert (row["pid"], row["comm"], row["refused"]) == (os.getpid(), comm, 3)
