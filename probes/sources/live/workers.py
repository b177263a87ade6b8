"""Threads that work for an event loop, and lose no result when memory is short.

ThreadPoolExecutor loses the result of a call if there is no memory to deliver it: its caller then
waits for ever.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from probes.kernel.threads import BEGINNING, Task

T = TypeVar("T")
RETRY = 0.02
"""Seconds between two attempts to deliver an answer that there is no memory for."""


class _Job(Generic[T]):
    """A call, and the future and loop that wait for it."""

    __slots__ = ("function", "future", "loop", "raised", "result")

    def __init__(self, function: Callable[[], T], loop: asyncio.AbstractEventLoop) -> None:
        self.function, self.loop = function, loop
        self.future: asyncio.Future[T] = loop.create_future()
        self.result: list[T] = []
        self.raised: BaseException | None = None

    def answer(self) -> None:
        """Set the result; to be called in the loop."""
        if self.future.done():
            return  # nobody waits for it any more
        if self.result:
            self.future.set_result(self.result[0])
        elif self.raised is None:
            self.future.cancel()  # it was not even begun
        elif isinstance(self.raised, StopIteration):  # which no future takes
            self.future.set_exception(RuntimeError("StopIteration"))
        else:
            self.future.set_exception(self.raised)


Calls = SimpleQueue[_Job[Any] | None]
"""What a thread waits on; None: it is to end."""


class Workers:
    """Threads that work for an event loop: so many, from the first call on, or from `start`.

    A call goes to the thread that worked last: its memory is warm, and what it keeps for the next
    reading is kept once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._waiting: deque[_Job[Any] | None] = deque()
        self._idle: deque[Calls] = deque()
        "What each thread that has nothing to do waits on; the last one worked last."
        self._tasks: list[Task] = []
        self._there: SimpleQueue[None] = SimpleQueue()
        self._closed = False

    def start(self) -> None:
        """Start as many as possible. Raises RuntimeError if there is not even one."""
        with suppress(RuntimeError):
            for _ in range(self._most):
                self._tasks.append(Task(self._work))
        there = 0
        with suppress(Empty):
            while there < len(self._tasks):
                self._there.get(timeout=BEGINNING)
                there += 1
        if not there:
            self._tasks.clear()
            raise RuntimeError("can't start new thread")

    async def run(self, function: Callable[[], T]) -> T:
        """Return or raise what the function does.

        Raises RuntimeError where no thread can be had.
        """
        return await self.submit(function)

    def submit(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Return the same, as a future."""
        if self._closed:
            raise RuntimeError("closed")
        if not self._tasks:
            self.start()
        call = _Job(function, asyncio.get_running_loop())
        self._put(call)
        return call.future

    def _put(self, call: _Job[Any] | None) -> None:
        with self._lock:
            if self._idle:
                self._idle[-1].put(call)
                self._idle.pop()  # only now: there may have been no memory for the call
            else:
                self._waiting.append(call)

    def close(self, seconds: float | None = None, *, cancel: bool = True) -> None:
        """End the threads, and wait for them, up to a limit.

        cancel: calls that have not begun are not made, and their futures are cancelled; otherwise
        they are made first.
        """
        self._closed = True
        if cancel:
            self._cancel()
        for _ in self._tasks:
            self._put(None)
        for task in self._tasks:
            while not task.join(BEGINNING if seconds is None else seconds) and seconds is None:
                pass

    def _cancel(self) -> None:
        with self._lock:
            waiting = list(self._waiting)
            self._waiting.clear()
        for call in waiting:
            _give(call)

    def _work(self) -> None:
        self._there.put(None)
        own: Calls = SimpleQueue()
        call: _Job[Any] | None = None
        while True:
            try:
                call = self._next(own)
                if call is None:
                    return
                call.result.append(call.function())
            except BaseException as raised:
                if call is not None:
                    call.raised = raised
            _give(call)
            call = None

    def _next(self, own: Calls) -> _Job[Any] | None:
        """Return the next call, or None: the thread is to end."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._idle.append(own)
        return own.get()


def _give(call: _Job[Any] | None) -> None:
    """Deliver the result in its loop, retrying as long as there is no memory for that."""
    while call is not None:
        try:
            call.loop.call_soon_threadsafe(call.answer)
            return
        except MemoryError:
            time.sleep(RETRY)
        except RuntimeError:
            return  # the loop is closed: nobody waits
