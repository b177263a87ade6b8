"""Handles on attached programs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack

from probes.attach.refusals import attach_refused
from probes.kernel import bpf
from probes.point import Held, Point

ASK_SECONDS = 5.0
"""Seconds between checks by netlink whether something is still attached."""
AT_ONCE = 32
"""Links that are checked at each reading; of more, so many a second."""
_links: set[int] = set()
"""Fds of links that others can detach."""


class Handle:
    """Handle on an attached program. Calling it detaches; calling it twice is harmless.

    there: asks the kernel whether it is still attached, at most every so many seconds. None: nobody
    but us can detach it. link: its fd, where a bpf_link holds it; with many of them each is asked
    about less often (`AT_ONCE`).
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
        if link is not None and there is not None:
            _links.add(link)

    def __call__(self) -> None:
        if self._detach:
            if self.link is not None:
                _links.discard(self.link)
            self._detach[0]()
            self._detach.clear()  # only now: where it raised, there is still something to detach

    def taken(self) -> bool:
        """Return whether somebody else has detached it or put something in its place.

        Raises OSError or ProbeError where that could not be asked.
        """
        if self._there is None:
            return False
        now, pause = time.monotonic(), self._seconds
        if self.link is not None and len(_links) > AT_ONCE:
            pause = max(pause, len(_links) / AT_ONCE - 0.5)
        if now - self._asked < pause:
            return False
        self._asked = now
        return not self._there()


def several(attach: Iterable[Callable[[], Held]]) -> Handle:
    """Attach all of them, or none; return one handle."""
    with ExitStack() as stack:
        for each in attach:
            stack.callback(each())
        held = stack.pop_all()
    return Handle(held.close)


def by_link(
    create: Callable[[], int], point: Point, what: str, ifindex: int = 0, *, forced: bool = False
) -> Handle:
    """Attach through a bpf_link. forced: others can detach it, and then it says so."""
    try:
        fd = create()
    except OSError as refused:
        raise attach_refused(refused.errno or 0, what, point, ifindex) from None
    there = (lambda: bpf.link_target(fd) != 0) if forced else None
    return Handle(lambda: os.close(fd), there, link=fd)
