"""Questions to the kernel while files are short: the answer is the same, or it is said to be none.

And never one that is kept: with files, all is as it was.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from probes.compile import headers
from probes.droprules import operator_sessions, tunnels
from probes.foreign import holders
from probes.foreign.names import ProgramNames
from probes.hooks.drops import reasons
from probes.kernel import bpf, btf, capabilities, kallsyms, objects, pid_namespaces, procfs, tracefs
from probes.kernel.cgroups import Paths
from probes.kernel.procfs import SocketOwners
from probes.point import ProgType
from probes.toolkit import libraries, user_symbols
from tests.support.shortage import files_left, is_short, open_files

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]
MOST = 6
"""Files that any of them takes at once, at most."""


SHORT = object()


def _asked(ask: Callable[[object], object], listening: socket.socket, many: int) -> object:
    try:
        with files_left(many):
            return ask(listening)
    except Exception as raised:
        return SHORT if is_short(raised) else raised


def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at the start of a program."""
    for remembered in (
        btf.libbpf, btf._vmlinux, btf._find, btf.enum, btf.tracepoints, btf.prototype, btf.size,
        tracefs.symbols, tracefs.fields, libraries._mapped_libc,
    ):  # fmt: skip
        remembered.cache_clear()
    monkeypatch.setattr(kallsyms, "_table", None)
    monkeypatch.setattr(pid_namespaces, "_outer", pid_namespaces._Outer())


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def _owner(listening: socket.socket) -> object:
    return SocketOwners().find([os.fstat(listening.fileno()).st_ino])


def _cgroup(_: object) -> object:
    return Paths().of(Path("/sys/fs/cgroup").stat().st_ino)


def _holders(_: object) -> object:
    program = bpf.prog_load(ProgType.SOCKET_FILTER, bpf.exit_with(0))
    try:
        return holders.held().by.get(bpf.prog_info(program).id)
    finally:
        os.close(program)


ASKED: dict[str, Callable[[Any], object]] = {
    "BTF": lambda _: btf.available(),
    "a type": lambda _: btf.find("task_struct", btf.KIND_STRUCT),
    "an enum": lambda _: btf.enum("bpf_prog_type"),
    "tracepoints": lambda _: btf.tracepoints(),
    "a function": lambda _: btf.prototype("vfs_read"),
    "a size": lambda _: btf.size("task_struct"),
    "drop reasons": lambda _: reasons.Names()(2),
    "a tracepoint's symbols": lambda _: tracefs.symbols("skb", "kfree_skb", "reason"),
    "a tracepoint's fields": lambda _: tracefs.fields("skb", "kfree_skb"),
    "all tracepoints": lambda _: tracefs.events(),
    "copies of a function": lambda _: kallsyms.copies("vfs_read"),
    "functions": lambda _: kallsyms.functions(),
    "lockdown": lambda _: capabilities.lockdown(),
    "the kernel": lambda _: headers.kernel(),
    "where processes are shown": lambda _: pid_namespaces.outermost(),
    "a cgroup": _cgroup,
    "who holds a socket": _owner,
    "a process's files": lambda _: len(list(procfs.fds(1))) > 0,
    "sessions": lambda _: operator_sessions.connections(),
    "what carries them": lambda _: tunnels.ends(["127.0.0.1"]),
    "a place in a process": lambda _: len(user_symbols.maps(os.getpid())) > 0,
    "libraries in use": lambda _: len(list(libraries.loaded((libraries.LIBC,), set()))) > 0,
    "a field of a file": lambda _: objects.fd_field("/proc/self/fdinfo/0", "flags"),
    "who holds a program": _holders,
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_what_cannot_be_told_just_now_is_no_answer_and_is_not_kept(
    ask: Callable[[object], object], listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    _forget(monkeypatch)
    expected = ask(listening)
    before = open_files()
    for many in range(MOST + 1):
        _forget(monkeypatch)
        assert _asked(ask, listening, many) in (expected, SHORT), f"with {many} files"
        assert ask(listening) == expected, f"after {many} files"
        assert open_files() == before, f"after {many} files"


def test_a_program_without_a_name_just_now_has_it_later() -> None:
    names, program = (
        ProgramNames(),
        bpf.prog_load(ProgType.SOCKET_FILTER, bpf.exit_with(0), name="ebpftop_named"),
    )
    try:
        id = bpf.prog_info(program).id
        with files_left(0):
            assert names[id] is None
        assert names[id] == "ebpftop_named"
    finally:
        os.close(program)
