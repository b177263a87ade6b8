"""Threads where memory may be short: nobody waits for ever for one."""

from __future__ import annotations

import _thread
import threading

import pytest

from probes.kernel import threads


def test_a_task_is_alive_until_it_ends() -> None:
    go_on = threading.Event()
    task = threads.Task(go_on.wait)
    assert task.alive
    assert not task.join(0.01)
    go_on.set()
    assert task.join(5)
    assert not task.alive


def test_one_that_never_begins_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the new thread finds no memory for its first frame."""
    monkeypatch.setattr(_thread, "start_new_thread", lambda *_: 0)
    monkeypatch.setattr(threads, "BEGINNING", 0.01)
    assert threads.Task(int).join(5)
    with pytest.raises(MemoryError):
        threads.in_own_thread(int)


def test_what_a_thread_of_its_own_gives_and_raises() -> None:
    assert threads.in_own_thread(_thread.get_ident) != _thread.get_ident()
    with pytest.raises(ZeroDivisionError):
        threads.in_own_thread(lambda: 1 // 0)


def test_all_are_closed_side_by_side_also_without_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    met, closed = threading.Barrier(3), list[int]()
    threads.close_all([lambda: closed.append(met.wait(5))] * 6, 3, 5)
    assert sorted(closed) == [0, 0, 1, 1, 2, 2]

    def none(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", none)
    threads.close_all([lambda: closed.append(9)] * 2, 3, 5)
    assert closed[-2:] == [9, 9]


@pytest.mark.parametrize("there", [True, False], ids=["threads", "none"])
def test_an_error_keeps_nothing_else_from_being_closed(
    monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    def none(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    if not there:
        monkeypatch.setattr(_thread, "start_new_thread", none)
    closed: list[int] = []
    with pytest.raises(ZeroDivisionError):
        threads.close_all([*[lambda: 1 // 0] * 3, lambda: closed.append(1)], 2, 5)
    assert closed == [1]


def test_what_threads_that_never_begin_should_close_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_thread, "start_new_thread", lambda *_: 0)
    monkeypatch.setattr(threads, "BEGINNING", 0.01)
    closed: list[int] = []
    threads.close_all([lambda: closed.append(1)], 2, 5)
    assert closed == [1]
