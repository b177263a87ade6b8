"""Network namespaces of processes: found, entered by a thread that ends, left alone otherwise."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from probes.errors import Denied, Gone
from probes.kernel import capabilities, procfs
from probes.kernel.net_namespaces import NetNamespaces, inside, of_process
from tests.support.namespaces import run

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]


@contextmanager
def _another() -> Iterator[tuple[int, int]]:
    """A process in a network namespace of its own, and that one's inode."""
    command = ["unshare", "--net", "sh", "-c", "echo ready; exec sleep 60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process.pid, of_process(process.pid)
        finally:
            process.kill()


def test_namespaces_are_found_as_they_come_and_go() -> None:
    """Who was there before is not new; what has no process any more is not there."""
    with _another() as (old, before):
        known = NetNamespaces()
        known.SLICE = 10.0
        assert known.find()[before] == old
        with _another() as (new, after):
            assert known.find()[after] == new
            assert known.is_new(after)
            assert not known.is_new(before)
        assert after not in known.find()


def test_a_named_namespace_without_a_process_is_not_new() -> None:
    """It may have counted for long: what it has when somebody moves in is not of now."""
    name = f"listen-named-{os.getpid()}"
    run("ip", "netns", "add", name)
    try:
        known = NetNamespaces()
        known.SLICE = 10.0
        known.find()
        assert not known.is_new(Path("/run/netns", name).stat().st_ino)
    finally:
        run("ip", "netns", "del", name)


def test_what_is_asked_inside_is_of_that_namespace_and_nobody_stays_there() -> None:
    with _another() as (pid, inode):
        mine, threads = procfs.netns(), threading.active_count()
        assert inside(pid, inode, procfs.netns) == inode != mine
        assert procfs.netns() == mine
        assert threading.active_count() == threads
        with pytest.raises(ZeroDivisionError):
            inside(pid, inode, lambda: 1 // 0)


def test_a_process_that_moved_or_has_gone_is_a_refusal() -> None:
    with _another() as (pid, inode), pytest.raises(Gone, match="another network namespace"):
        inside(pid, inode + 1, procfs.netns)
    with pytest.raises(Gone):
        inside(pid, inode, procfs.netns)


def test_without_the_capability_no_thread_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capabilities, "effective", lambda: 0)
    monkeypatch.setattr(threading, "Thread", lambda **_: pytest.fail("a thread"))
    with _another() as (pid, inode), pytest.raises(Denied, match="CAP_SYS_ADMIN"):
        inside(pid, inode, procfs.netns)
