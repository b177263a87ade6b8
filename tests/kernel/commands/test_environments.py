"""Odd surroundings: what can be had is shown, what cannot is a sentence, never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support import seccomp
from tests.support.commands import NOBODY, ROOT, ebpftop, nobody_can_run

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]
ONCE = ("once", "--for", "0.2", "--json")
LAUNCHER = "from tui.launcher import main; main()"
NO_THREADS = ("setpriv", "--reuid=54399", *NOBODY[2:])
"""A user who has no other process, so that a limit on processes is about this one."""


_NEEDED = "pipe2", "clone3", "uname", "socketpair", "sendto"


def _attached(*before: str, **more: str) -> list[str]:
    done = ebpftop(*ONCE, before=before, **more)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr
    return [h["hook"] for h in json.loads(done.stdout)["hooks"] if h["state"] == "attached"]


@pytest.mark.parametrize(
    "before",
    [
        ("env", "-i", f"PYTHONPATH={ROOT}"),
        ("env", "-u", "HOME"),
        ("env", "HOME=/nonexistent", "XDG_CONFIG_HOME=rel", "XDG_CACHE_HOME=x", "XDG_STATE_HOME=."),
        ("env", "LC_ALL=C", "PYTHONUTF8=0", "COLUMNS=abc", "LINES=-1", "TZ=/etc/shadow"),
        ("sh", "-c", 'umask 777; exec "$@"', "sh"),
    ],
    ids=["empty", "no-HOME", "no-such-folders", "odd-words", "umask"],
)
def test_an_odd_environment_takes_no_hook_away(before: Sequence[str]) -> None:
    assert {"drops", "syscalls"} <= set(_attached(*before))


@pytest.mark.skipif(not nobody_can_run(), reason="an unprivileged user cannot run this Python")
@pytest.mark.parametrize("arguments", [ONCE, ("hooks",), ("doctor",)], ids=" ".join)
def test_a_user_without_a_home_and_a_name(arguments: Sequence[str]) -> None:
    stranger = [word.replace("65534", "54321") for word in NOBODY]
    done = ebpftop(*arguments, before=("env", "-u", "HOME", *stranger))
    assert (done.returncode, done.stderr) == (0, "")


def _refusing(rule: str) -> tuple[str, ...]:
    return sys.executable, str(Path(seccomp.__file__)), rule, "--"


@pytest.mark.parametrize(
    "rule",
    [
        "socket:16=EAFNOSUPPORT",
        "socket:16=EPERM",
        "socket=EACCES",
        "bind=EPERM",
        "capget=EPERM",
        "prlimit64=EPERM",
        "sched_getaffinity=EPERM",
        "rt_sigprocmask=EPERM",
    ],
)
def test_a_refused_system_call_takes_no_other_hook_away(rule: str) -> None:
    """As under systemd's RestrictAddressFamilies= and SystemCallFilter=."""
    assert {"drops", "syscalls"} <= set(_attached(*_refusing(rule)))


@pytest.mark.parametrize("call", _NEEDED)
def test_without_what_it_cannot_do_without_it_says_so(call: str) -> None:
    command = [*_refusing(f"{call}=EPERM"), sys.executable, "-c", LAUNCHER, *ONCE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ebpftop: starting: ")
    why = "Resource temporarily unavailable" if call == "clone3" else "Operation not permitted"
    assert why in done.stderr  # and nothing else is wrong: without a filter it starts
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(not nobody_can_run(), reason="an unprivileged user cannot run this Python")
@pytest.mark.parametrize("most", [1, 2, 4, 5, 7])
def test_few_threads_are_a_sentence(most: int) -> None:
    done = ebpftop(*ONCE, before=(*NO_THREADS, "prlimit", f"--nproc={most}"))
    assert "Traceback" not in done.stderr
    assert done.returncode == 0 or "Resource temporarily unavailable" in done.stderr


def test_neither_netlink_nor_sysfs_leaves_what_needs_no_interface() -> None:
    hidden = ("unshare", "-m", "sh", "-c", 'umount -lR /sys; exec "$@"', "sh")
    done = ebpftop(*ONCE, before=(*hidden, *_refusing("socket:16=EPERM")))
    assert done.returncode == 0, done.stderr


def test_a_read_only_system_without_a_temporary_folder_still_shows_numbers() -> None:
    frozen = "; ".join(
        f"mount --bind {place} {place} && mount -o remount,bind,ro {place}"
        for place in ("/tmp", "/var/tmp", "/var/cache", ROOT)
    )
    script = f'mount -o remount,bind,ro /; {frozen}; cd {ROOT}; exec "$@"'
    done = ebpftop(*ONCE, before=("unshare", "-m", "sh", "-c", script, "sh"))
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    usual = json.loads(ebpftop(*ONCE).stdout)["hooks"]
    assert [h["rung"] for h in json.loads(done.stdout)["hooks"]] == [h["rung"] for h in usual]


def test_no_proc_is_no_traceback() -> None:
    hidden = ("unshare", "-m", "sh", "-c", 'umount -l /proc; exec "$@"', "sh")
    for arguments in (ONCE, ("doctor",), ("hooks",)):
        done = ebpftop(*arguments, before=hidden)
        assert "Traceback" not in done.stderr
        assert done.returncode in (0, 1)
        assert done.returncode == 0 or done.stderr.startswith("ebpftop: ")


@pytest.mark.parametrize("most", [8, 16, 24, 40, 64])
def test_few_file_descriptors_are_no_traceback(most: int) -> None:
    done = ebpftop(*ONCE, before=("prlimit", f"--nofile={most}"))
    assert "Traceback" not in done.stderr
    assert "crash" not in done.stderr
    assert done.returncode in (0, 1)


@pytest.mark.parametrize("megabytes", [40, 120, 170, 200, 280, 380])
def test_little_memory_is_no_traceback(megabytes: int) -> None:
    """Of address space: too little to begin with is a sentence, and with more there are numbers."""
    limited = ("prlimit", f"--as={megabytes << 20}", sys.executable, "-c", LAUNCHER)
    done = subprocess.run(
        [*limited, *ONCE], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1), done.stderr
    if done.returncode == 0:
        assert json.loads(done.stdout)["hooks"]
    else:
        assert done.stderr.startswith("ebpftop: ")
