"""Threads that work for an event loop: each call is answered, whatever there is no memory for."""

from __future__ import annotations

import _thread
import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from probes.sources.live.workers import Workers


def _run(work: Callable[[Workers], Any], most: int = 2) -> Any:
    workers = Workers(most)

    async def whole() -> Any:
        try:
            return await asyncio.wait_for(work(workers), 10)
        finally:
            workers.close()

    return asyncio.run(whole())


def test_a_call_gives_and_raises_what_it_does() -> None:
    assert _run(lambda workers: workers.run(lambda: 7)) == 7
    with pytest.raises(ZeroDivisionError):
        _run(lambda workers: workers.run(lambda: 1 // 0))
    with pytest.raises(RuntimeError, match="StopIteration"):
        _run(lambda workers: workers.run(lambda: next(iter(()))))


def test_an_answer_is_not_lost_where_there_is_no_memory_to_give_it() -> None:
    refusals = [MemoryError(), MemoryError()]

    async def work(workers: Workers) -> int:
        loop = asyncio.get_running_loop()
        told = loop.call_soon_threadsafe

        def short(*given: Any) -> Any:
            if refusals:
                raise refusals.pop()
            return told(*given)

        loop.call_soon_threadsafe = short  # type: ignore[method-assign]
        return await workers.run(lambda: 7)

    assert _run(work) == 7
    assert not refusals


def test_without_a_thread_there_is_an_error_and_no_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", none)
    with pytest.raises(RuntimeError, match="new thread"):
        _run(lambda workers: workers.run(int))


def test_what_has_not_begun_is_cancelled_at_the_end() -> None:
    begun, go_on = threading.Event(), threading.Event()

    async def work(workers: Workers) -> bool:
        first = workers.submit(lambda: (begun.set(), go_on.wait(10)))
        begun.wait(10)
        second = workers.submit(int)
        workers.close(0.0)
        go_on.set()
        await first
        with pytest.raises(asyncio.CancelledError):
            await second
        with pytest.raises(RuntimeError):
            workers.submit(int)
        return True

    assert _run(work, 1)


def test_what_has_not_begun_may_be_done_before_the_end() -> None:
    begun, go_on = threading.Event(), threading.Event()

    async def work(workers: Workers) -> list[Any]:
        first = workers.submit(lambda: (begun.set(), go_on.wait(10)))
        begun.wait(10)
        others = [workers.submit(lambda n=n: n) for n in range(3)]  # type: ignore[misc]
        threading.Timer(0.05, go_on.set).start()
        workers.close(cancel=False)
        assert go_on.is_set()
        with pytest.raises(RuntimeError):
            workers.submit(int)
        await first
        return await asyncio.gather(*others)

    assert _run(work, 1) == [0, 1, 2]


def test_a_call_goes_to_the_thread_that_worked_last() -> None:
    async def work(workers: Workers) -> set[int]:
        workers.start()
        found = set()
        for _ in range(20):
            while len(workers._idle) < 3:
                await asyncio.sleep(0.001)
            found.add(await workers.run(threading.get_ident))
        return found

    assert len(_run(work, 3)) == 1


def test_each_of_many_calls_at_once_is_answered() -> None:
    async def work(workers: Workers) -> list[int]:
        calls = [workers.submit(lambda n=n: n) for n in range(2000)]  # type: ignore[misc]
        return await asyncio.gather(*calls)

    assert _run(work, 3) == list(range(2000))
