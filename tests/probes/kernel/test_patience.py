"""Calls that may never come back: an end to the waiting, and no child that keeps a program."""

from __future__ import annotations

import operator
import os
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
    patience.rest()


def _late() -> None:
    with pytest.raises(patience.TookTooLong):
        patience.within(SOON, partial(time.sleep, 600))


def test_a_call_gives_what_it_gives_in_another_process() -> None:
    assert patience.within(5, os.getpid) == patience.within(5, os.getpid) != os.getpid()
    with pytest.raises(ZeroDivisionError):
        patience.within(5, partial(operator.truediv, 1, 0))


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


def test_only_so_many_are_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    class Alive:
        alive = True

    class Stuck:
        reaping = Alive()

    left = {Stuck(), Stuck()}
    patience.rest()
    monkeypatch.setattr(patience, "MOST_LEFT", 2)
    monkeypatch.setattr(patience, "_left", left)
    with pytest.raises(patience.TookTooLong, match="2 others"):
        patience.within(5, os.getpid)
    left.pop().reaping.alive = False
    left.clear()
    assert patience.within(5, os.getpid)


def test_one_that_went_is_replaced() -> None:
    first = patience.within(5, os.getpid)
    os.kill(first, 9)
    assert patience.within(5, os.getpid) != first


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
