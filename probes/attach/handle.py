"""What holds a program at its point."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack


class Attached:
    """What holds a program at its point. Calling it detaches; twice does no harm.

    there: asks the kernel whether it is still attached, at most every so many seconds. None:
    nobody but us can detach it. link: its fd, where a bpf_link holds it.
    """

    def __init__(
        self,
        detach: Callable[[], None],
        there: Callable[[], bool] | None = None,
        seconds: float = 0.0,
        *,
        link: int | None = None,
    ) -> None:
        self.link = link
        self._detach = [detach]
        self._there = there
        self._seconds = seconds
        self._asked = time.monotonic()

    def __call__(self) -> None:
        if self._detach:
            self._detach[0]()
            self._detach.clear()  # only now: where it raised, there is still something to detach

    def taken(self) -> bool:
        """Whether somebody else has detached it or put something in its place.

        Raises OSError or ProbeError where that could not be asked.
        """
        now = time.monotonic()
        if self._there is None or now - self._asked < self._seconds:
            return False
        self._asked = now
        return not self._there()


def several(attach: Iterable[Callable[[], Attached]]) -> Attached:
    """All of them, or none."""
    with ExitStack() as stack:
        for each in attach:
            stack.callback(each())
        held = stack.pop_all()
    return Attached(held.close)
