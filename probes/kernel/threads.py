"""Threads for when memory may be short: starting one never waits for ever.

threading.Thread.start waits until the new thread reports that it runs. Where memory runs out before
it can, it never does.
"""

from __future__ import annotations

import _thread
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")
BEGINNING = 5.0
"""Seconds after which a thread that has not begun never will."""


class Task:
    """A function in a daemon thread of its own. Raises RuntimeError where no thread can be had."""

    def __init__(self, function: Callable[[], object]) -> None:
        self._function = function
        self._over = _thread.allocate_lock()
        self._over.acquire()
        self._begun, self._since = False, time.monotonic()
        _thread.start_new_thread(self._run, ())

    def _run(self) -> None:
        self._begun = True
        try:
            self._function()
        finally:
            self._over.release()

    @property
    def alive(self) -> bool:
        """Whether it may still begin, or has not ended."""
        begins = self._begun or time.monotonic() < self._since + BEGINNING
        return self._over.locked() and begins

    def join(self, seconds: float) -> bool:
        """Wait up to so many seconds for its end; return whether it has ended."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self.alive:
            if self._over.acquire(timeout=left if self._begun else min(left, 0.05)):
                self._over.release()
        return not self.alive


def in_own_thread(function: Callable[[], T]) -> T:
    """Return or raise what the function does, run in a thread that ends with it.

    It may therefore change what a thread has of its own.
    """
    answers: list[T] = []
    raised: list[BaseException] = []

    def work() -> None:
        try:
            answers.append(function())
        except BaseException as e:  # raised again in the caller
            raised.append(e)

    task = Task(work)
    while not task.join(BEGINNING):
        pass
    if raised:
        raise raised[0]
    if not answers:
        raise MemoryError
    return answers[0]


def close_all(closes: Sequence[Callable[[], object]], at_once: int, seconds: float) -> None:
    """Call all of them, so many at a time; wait at most so many seconds.

    An error in one does not keep the others from being called; afterwards the first error is
    raised.
    """
    waiting = SimpleQueue[Callable[[], object]]()
    for close in closes:
        waiting.put(close)
    failed: list[Exception] = []

    def work() -> None:
        with suppress(Empty):
            while True:
                close = waiting.get_nowait()
                try:
                    close()
                except Exception as error:
                    failed.append(error)

    tasks: list[Task] = []
    with suppress(RuntimeError):
        for _ in range(min(at_once, len(closes))):
            tasks.append(Task(work))  # noqa: PERF401 - keep those that started
    end = time.monotonic() + seconds
    for task in tasks:
        task.join(max(end - time.monotonic(), 0.001))
    if not any(task.alive for task in tasks):
        work()  # what is left where no thread could be had, or none began
    if failed:
        raise failed[0]
