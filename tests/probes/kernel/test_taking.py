"""Entries that are taken out of a map when the kernel stops in the middle. No kernel."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from probes.kernel import bpf

ROOM = 10


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Answers, one for each call: how many entries it copies (None: refused), and an error."""

    def answer(*steps: tuple[int | None, int]) -> None:
        left, number = iter(steps), iter(range(1, 256))
        monkeypatch.setattr(bpf, "_bpf", lambda _, attr: _step(attr, *next(left), number))

    return answer


def _step(attr: Any, copied: int | None, code: int, number: Iterator[int]) -> None:
    if copied is not None:
        octets = bytes(next(number) for _ in range(copied))
        for to in (attr.keys, attr.values):
            ctypes.memmove(to, octets, copied)
        attr.count = copied
    if code:
        raise OSError(code, "")


@pytest.mark.parametrize(
    ("steps", "taken"),
    [
        ([(4, errno.ENOENT)], 4),
        ([(6, 0), (0, errno.ENOSPC)], 6),
        ([(6, 0), (2, errno.EBUSY)], 8),
        ([(6, 0), (0, errno.ENOMEM)], 6),
        ([(6, 0), (None, errno.ENOMEM)], 6),
        ([(3, errno.EBUSY)], 3),
        ([(ROOM, 0)], ROOM),
    ],
)
def test_what_was_taken_is_returned_whatever_comes_then(
    kernel: Callable[..., None], steps: list[tuple[int | None, int]], taken: int
) -> None:
    kernel(*steps)
    octets = bytes(range(1, taken + 1))
    assert bpf.map_lookup_batch(0, 1, 1, ROOM, take=True) == (octets, octets, taken)


@pytest.mark.parametrize("step", [(None, errno.EINVAL), (0, errno.ENOMEM)])
def test_what_takes_nothing_is_an_error(
    kernel: Callable[..., None], step: tuple[int | None, int]
) -> None:
    kernel(step)
    with pytest.raises(OSError, match=str(step[1])):
        bpf.map_lookup_batch(0, 1, 1, ROOM, take=True)


def test_what_stays_in_the_map_is_an_error(kernel: Callable[..., None]) -> None:
    kernel((6, 0), (2, errno.EBUSY))
    with pytest.raises(OSError, match=str(int(errno.EBUSY))):
        bpf.map_lookup_batch(0, 1, 1, ROOM)
