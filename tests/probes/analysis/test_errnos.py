"""What it means that a system call failed."""

from __future__ import annotations

import errno
import os
import re
import socket
from pathlib import Path

import pytest

from probes.analysis import errnos
from probes.analysis.errnos import ErrnoClass, errno_meaning
from probes.toolkit.decode import errno_name


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("futex", "ETIMEDOUT"), ("ioctl", "ENOTTY"), ("access", "ENOENT"), ("openat", "ENOENT"),
        ("connect", "EINPROGRESS"), ("read", "EAGAIN"), ("wait4", "ECHILD"), ("poll", "EINTR"),
        ("lseek", "ESPIPE"), ("fgetxattr", "ENODATA"), ("lgetxattr", "ENOTSUP"),
        ("kill", "ESRCH"), ("mkdir", "EEXIST"), ("32-bit stat64", "ENOENT"), ("close", "EBADF"),
        ("x32 wait4", "ECHILD"), ("nanosleep", "ERESTART_RESTARTBLOCK"), ("statx", "ENOSYS"),
        ("sendto", "EAGAIN"), ("recvfrom", "EWOULDBLOCK"), ("bpf", "ENOENT"),
    ],
)  # fmt: skip
def test_what_programs_ask_for_is_ordinary(call: str, error: str) -> None:
    assert errno_meaning(call, error).errno_class is ErrnoClass.ORDINARY


@pytest.mark.parametrize(
    ("call", "error", "knob"),
    [
        ("openat", "EMFILE", ""), ("socket", "EMFILE", ""), ("accept4", "ENFILE", "fs.file-max"),
        ("write", "ENOSPC", ""), ("pwrite64", "EIO", ""), ("brand_new_call", "ENOMEM", ""),
        ("mmap", "ENOMEM", "vm.max_map_count"), ("clone3", "EAGAIN", "kernel.threads-max"),
        ("connect", "EADDRNOTAVAIL", "net.ipv4.ip_local_port_range"),
        ("inotify_add_watch", "ENOSPC", "fs.inotify.max_user_watches"),
        ("inotify_init1", "EMFILE", "fs.inotify.max_user_instances"),
        ("io_setup", "EAGAIN", "fs.aio-max-nr"), ("sendmmsg", "ENOBUFS", "net.core.wmem_max"),
    ],
)  # fmt: skip
def test_what_has_run_out_is_grave(call: str, error: str, knob: str) -> None:
    meaning = errno_meaning(call, error)
    assert (meaning.errno_class, meaning.knob) == (ErrnoClass.GRAVE, knob)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("connect", "ECONNREFUSED"), ("connect", "ETIMEDOUT"), ("openat", "EACCES"),
        ("read", "ECONNRESET"), ("bind", "EADDRINUSE"), ("unheard", "EUNHEARD"), ("read", "EBADF"),
        ("sendto", "EPERM"),
    ],
)  # fmt: skip
def test_the_rest_are_failures(call: str, error: str) -> None:
    assert errno_meaning(call, error).errno_class is ErrnoClass.FAILURE


def test_every_name_is_one_that_the_decoder_gives() -> None:
    """A misspelled errno would never be found."""
    known = {errno_name(number) for number in range(1, 600)} | {"EOPNOTSUPP", "EDEADLK"}
    assert {error for _, error in errnos.KNOWN} | errnos.ANY_CALL.keys() <= known


def test_every_knob_exists() -> None:
    knobs = {meaning.knob for meaning in (*errnos.KNOWN.values(), *errnos.ANY_CALL.values())}
    missing = {k for k in knobs if k and not Path("/proc/sys", *k.split(".", 2)).exists()}
    assert missing <= {"fs.mqueue.queues_max", "fs.inotify.max_user_watches"}, "built out, maybe"


def test_sentences_are_sentences() -> None:
    for meaning in (*errnos.KNOWN.values(), *errnos.ANY_CALL.values()):
        assert re.fullmatch(r"[A-Z].*[^ .]\.", meaning.sentence), meaning.sentence


def test_what_this_kernel_answers_to_what_programs_ask(tmp_path: Path) -> None:
    """The calls that a shell, a linker, and an event loop make all day."""
    seen: list[tuple[str, str]] = []

    def note(call: str, raised: OSError) -> None:
        seen.append((call, errno.errorcode[raised.errno or 0]))

    read, write = os.pipe()
    os.set_blocking(read, False)
    with socket.socket(type=socket.SOCK_STREAM) as s:
        for call, ask in (
            ("openat", lambda: (tmp_path / "none").open()),
            ("newfstatat", lambda: (tmp_path / "none").stat()),
            ("readlink", lambda: tmp_path.readlink()),
            ("mkdir", lambda: tmp_path.mkdir()),
            ("read", lambda: os.read(read, 1)),
            ("lseek", lambda: os.lseek(read, 0, os.SEEK_CUR)),
            ("getpeername", s.getpeername),
            ("ioctl", lambda: os.tcgetpgrp(read)),
            ("getxattr", lambda: os.getxattr(tmp_path, "user.none")),
        ):
            try:
                ask()
            except OSError as raised:
                note(call, raised)
    os.close(read)
    os.close(write)
    assert len(seen) == 9
    assert [one for one in seen if errno_meaning(*one).errno_class is not ErrnoClass.ORDINARY] == []
