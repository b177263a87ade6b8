"""Calls that may never come back (files and processes of others), with an end to the waiting.

open(2) of a file on somebody's FUSE, or /proc/PID/maps of a process that is stuck with its memory
locked, takes as long as its owner likes. Such a call is made by a thread of its own, which is left
behind where it takes too long: it is a daemon, so it keeps no program from ending.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

T = TypeVar("T")
MOST_LEFT = 64
"""Threads of the whole process that are left behind; then nothing more is begun until one ends."""

_left: set[threading.Thread] = set()


class TookTooLong(OSError):
    """The call has not come back in time, or too many before it have not."""


class _Answer(Generic[T]):
    """What came of a call. given_up: nobody waits for it any more."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.result: list[T] = []
        self.raised: BaseException | None = None


class Worker:
    """A thread that makes calls for another one, and is left behind by the first that is late.

    It has the capabilities of the thread that makes it, so it is kept no longer than a task takes.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Callable[[], Any], _Answer[Any]] | None] | None = None
        self._thread: threading.Thread | None = None

    def call(self, function: Callable[[], T], seconds: float) -> T:
        """Returns or raises what the function does. Raises TookTooLong."""
        answer: _Answer[T] = _Answer()
        self._begin().put((function, answer))
        if not answer.done.wait(seconds):
            self._leave_behind()
            raise TookTooLong(0, f"it took longer than {seconds:g} s")
        if answer.raised is not None:
            raise answer.raised
        return answer.result[0]

    def close(self) -> None:
        if self._calls is not None:
            self._calls.put(None)
        self._calls = self._thread = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self) -> SimpleQueue[tuple[Callable[[], Any], _Answer[Any]] | None]:
        if self._calls is None:
            _left.difference_update([t for t in _left if not t.is_alive()])
            if len(_left) >= MOST_LEFT:
                raise TookTooLong(0, f"{MOST_LEFT} others have not been answered")
            self._calls = SimpleQueue()
            self._thread = threading.Thread(
                target=_work, args=(self._calls,), name="patience", daemon=True
            )
            self._thread.start()
        return self._calls

    def _leave_behind(self) -> None:
        if self._thread is not None:
            _left.add(self._thread)
        self.close()


def within(seconds: float, function: Callable[[], T]) -> T:
    """One call. Returns or raises what the function does. Raises TookTooLong."""
    with Worker() as worker:
        return worker.call(function, seconds)


def _work(calls: SimpleQueue[tuple[Callable[[], Any], _Answer[Any]] | None]) -> None:
    while (call := calls.get()) is not None:
        function, answer = call
        try:
            answer.result.append(function())
        except BaseException as raised:
            answer.raised = raised
        answer.done.set()
        del call, function, answer
