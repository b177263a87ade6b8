"""Attaching to files of others in the background: readings never wait for a file or a process.

What comes and goes is looked for again and again, each time in a thread of its own. What has gone
is closed by the thread that reads, since that one asks what programs cost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from contextlib import ExitStack, suppress
from time import monotonic
from typing import Generic, TypeVar

from probes.attach import uprobe
from probes.errors import ProbeError
from probes.kernel.threads import Task, close_all

K = TypeVar("K", bound=Hashable)
PAUSE = 2.0
"""Seconds from the end of a look to the beginning of the next, where the look does not say."""
LEAVING = 1.0
"""Seconds to wait on release for a look that is under way."""
CLOSING, CLOSED = (8, 64), 60.0
"""Files released at once, as the kernel waits for each probe: where it waits for one
after the other, and where it does not (links). And seconds for all."""


class Background(Generic[K]):
    """Repeated looks in the background, and what they attached, by what it is attached to.

    look: attaches, and passes handles to `hold`; one runs at a time. stack: when it unwinds,
    everything is released, and a look that is late releases what it attached itself. left: set from
    then on. pause: seconds until the next look; a look may set it.
    """

    def __init__(self, look: Callable[[], None], stack: ExitStack) -> None:
        self.left = threading.Event()
        self.pause = PAUSE
        self._look = look
        self._looking = threading.Lock()
        self._lock = threading.Lock()
        self._held: dict[K, ExitStack] = {}
        self._closing: list[ExitStack] = []
        self._task: Task | None = None
        self._failed: Exception | None = None
        self._next = 0.0
        stack.callback(self._leave)

    def keep_up(self, wait: float = 0.0) -> None:
        """Begin a look where it is due; close what has gone. For the thread that reads.

        wait: seconds to wait for its end. Raises what the last look ended with.
        """
        if (self._task is None or not self._task.alive) and monotonic() >= self._next:
            with suppress(RuntimeError):  # no thread left: the next reading tries again
                # A new one each time: it has the capabilities that this one has by now.
                self._task = Task(self._run)
        if self._task is not None:
            self._task.join(wait)
        self._close()
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed

    def hold(self, key: K, made: ExitStack) -> None:
        """Keep what was attached to `key`, until that is released."""
        with self._lock:
            if not self.left.is_set():
                self._held.setdefault(key, ExitStack()).push(made.pop_all())
        self.close_later(made)

    def let_go(self, key: K) -> None:
        with self._lock:
            if (held := self._held.pop(key, None)) is not None:
                self._closing.append(held)

    def close_later(self, made: ExitStack) -> None:
        """Have the reading thread close it, or close it here where nobody reads any more."""
        with self._lock:
            self._closing.append(made)
        if self.left.is_set():
            self._close()

    def _run(self) -> None:
        if not self._looking.acquire(blocking=False):
            return  # one that was given up, as it did not begin, has begun after all
        try:
            self._look()
        except Exception as failed:
            self._failed = failed
        finally:
            self._next = monotonic() + self.pause
            self._looking.release()

    def _close(self) -> None:
        with self._lock:
            closing, self._closing = self._closing, []
        if closing:
            close_all([stack.close for stack in closing], _at_once(), CLOSED)

    def _leave(self) -> None:
        self.left.set()
        if self._task is not None:
            self._task.join(LEAVING)
        with self._lock:
            self._closing += self._held.values()
            self._held.clear()
        self._close()


def _at_once() -> int:
    with suppress(ProbeError):  # what is attached is so by one or the other: it is known
        return CLOSING[uprobe.by_link()]
    return CLOSING[False]
