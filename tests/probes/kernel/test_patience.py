"""Calls that may never come back: an end to the waiting, and no child that keeps a program."""

from __future__ import annotations

import operator
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from probes.errors import Unsupported
from probes.kernel import patience
from tests.support import patient_calls

SOON = 0.05


@pytest.fixture(autouse=True)
def children() -> Iterator[None]:
    yield
    patience.end_idle()


def _late() -> None:
    with pytest.raises(patience.TookTooLong):
        patience.within(SOON, partial(time.sleep, 600))


def test_a_call_gives_what_it_gives_in_another_process() -> None:
    assert patience.within(5, os.getpid) == patience.within(5, os.getpid) != os.getpid()
    with pytest.raises(ZeroDivisionError):
        patience.within(5, partial(operator.truediv, 1, 0))


@pytest.mark.parametrize("kind", [TimeoutError, EOFError, BrokenPipeError])
def test_what_a_call_raises_is_not_taken_for_the_way_to_it(kind: type[Exception]) -> None:
    before = patience.within(5, os.getpid)
    with pytest.raises(kind) as raised:
        patience.within(5, partial(patient_calls.fail, kind))
    assert raised.type is kind
    assert patience.within(5, os.getpid) == before


def test_a_refusal_is_the_same_one() -> None:
    with pytest.raises(Unsupported, match="this kernel cannot") as refused:
        patience.within(5, patient_calls.refuse)
    assert (refused.value.code, refused.value.remedy) == ("EINVAL", "another")


def test_open_files_go_both_ways() -> None:
    ours, theirs = os.pipe()
    os.write(theirs, b"abc")
    (made,) = patience.within(5, patient_calls.swapped, (ours,))
    assert os.read(made, 100) == b"cba"
    for fd in (ours, theirs, made):
        os.close(fd)


def test_who_is_late_is_left_behind_and_replaced() -> None:
    before = patience.within(5, os.getpid)
    _late()
    assert patience.within(5, os.getpid) != before


class _Stuck:
    """A child that was left behind."""

    def __init__(self) -> None:
        self.reaping = self
        self.alive = True


def test_only_so_many_are_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until one of them ends: the others are still there."""
    ends, stays = _Stuck(), _Stuck()
    left = {ends, stays}
    patience.end_idle()
    monkeypatch.setattr(patience, "MOST_LEFT", 2)
    monkeypatch.setattr(patience, "_left", left)
    with pytest.raises(patience.TookTooLong, match="2 earlier requests"):
        patience.within(5, os.getpid)
    ends.alive = False
    assert patience.within(5, os.getpid)
    assert left == {stays}


def test_one_that_went_is_replaced() -> None:
    first = patience.within(5, os.getpid)
    os.kill(first, 9)
    assert patience.within(5, os.getpid) != first


@pytest.mark.parametrize("said", [b"", bytes(12), b"\1" + bytes(11), b"\xff" * 12])
def test_one_whose_answer_is_none_is_not_asked_again(said: bytes) -> None:
    """The next call would have had what is left of it."""
    before, open_now = patience.within(5, os.getpid), _open_files()
    with pytest.raises(OSError, match="did not answer"):
        patience.within(1, partial(patient_calls.spoil, said))
    after = patience.within(5, os.getpid)
    assert before != after == patience.within(5, os.getpid)
    assert _open_files() == open_now


def _open_files() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def test_files_of_an_answer_that_is_cut_or_names_others_are_closed() -> None:
    before = _open_files()
    for count, body in [(1, b""), (2, b"body"), (0, b"body")]:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                header = patience._HEADER.pack(4, count)
                socket.send_fds(theirs, [header], [ours.fileno()])
                theirs.sendall(body)
            with pytest.raises(EOFError):
                patience._receive(ours, time.monotonic() + 5)
    assert _open_files() == before


def test_files_that_this_process_may_not_have_are_said_to_be_lost() -> None:
    """The kernel leaves them out, and says so in a flag."""
    code = (
        "import os, resource, socket\n"
        "from probes.kernel import open_files\n"
        "ours, theirs = socket.socketpair()\n"
        "socket.send_fds(theirs, [b'x'], [0, 1, 2])\n"
        "used = len(os.listdir('/proc/self/fd')) - 1\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, used + 1))\n"
        "try:\n"
        "    open_files.receive(ours, 1, 10)\n"
        "except open_files.FilesLost as lost:\n"
        "    print(lost.errno, len(os.listdir('/proc/self/fd')) - 1 - used)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert done.stdout.split() == [b"24", b"0"]


def test_a_child_holds_nothing_of_ours(tmp_path: Path) -> None:
    """Whoever waits for the end of a pipe does not wait for a child that is stuck."""
    with (tmp_path / "ours").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        names = patience.within(5, patient_calls.held)
    assert not [name for name in names if "ours" in name or "pipe:" in name]


def test_a_program_ends_although_a_call_does_not() -> None:
    code = (
        "import contextlib, time, functools\n"
        "from probes.kernel import patience\n"
        "with contextlib.suppress(patience.TookTooLong):\n"
        "    patience.within(0.1, functools.partial(time.sleep, 600))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=True).returncode == 0
