"""Files that take long to close: at the end a child closes what is left."""

from __future__ import annotations

import os

import pytest

from probes.attach import slow_closing
from probes.errors import ProbeError


@pytest.fixture(autouse=True)
def _not_leaving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_closing, "_over", False)


def _pipes(count: int) -> tuple[list[int], list[int]]:
    pairs = [os.pipe() for _ in range(count)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def test_what_is_closed_is_closed_once() -> None:
    (read,), (write,) = _pipes(1)
    slow_closing.hold([write])
    slow_closing.close([write])
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(write)
    slow_closing.close([read])  # none of those that are held
    os.close(read)


def test_what_is_handed_over_is_closed_by_somebody_else() -> None:
    reads, writes = _pipes(70)
    slow_closing.hold(writes)
    slow_closing.hand_over()
    for fd in writes:
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(fd)
    assert {os.read(fd, 1) for fd in reads} == {b""}  # nobody has the other ends any more
    slow_closing.close(writes)
    for fd in reads:
        os.close(fd)


def test_what_comes_after_all_were_handed_over_is_handed_over_too() -> None:
    (read,), (write,) = _pipes(1)
    slow_closing.hand_over()
    with pytest.raises(ProbeError, match="exiting"):
        slow_closing.hold([write])
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(write)
    assert os.read(read, 1) == b""
    os.close(read)


def test_one_that_cannot_be_closed_keeps_no_other_open() -> None:
    (a, read), (closed, write) = _pipes(2)
    os.close(closed)
    slow_closing.hold([closed, write])
    slow_closing.close([closed, write])
    assert os.read(read, 1) == b""
    for fd in (a, read):
        os.close(fd)
