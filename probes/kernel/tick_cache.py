"""Answers that several hooks share within one reading."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

_reading = threading.local()


@contextmanager
def one_reading() -> Iterator[None]:
    """Let `cached` ask each question one time only in this thread, until the `with` ends."""
    _reading.answers = {}
    try:
        yield
    finally:
        del _reading.answers


def active() -> bool:
    """Return whether this thread is in a `one_reading`."""
    return hasattr(_reading, "answers")


def cached(ask: Callable[[], T]) -> T:
    """Return the result of `ask`: in a `one_reading` at most as old as that, else a fresh one.

    All callers in the same reading get the same object, so none may change it. An exception of
    `ask` is not kept.
    """
    answers: dict[Callable[[], Any], Any] | None = getattr(_reading, "answers", None)
    if answers is None:
        return ask()
    if ask not in answers:
        answers[ask] = ask()
    found: T = answers[ask]
    return found


def answered(ask: Callable[[], T]) -> T | None:
    """Return the result of `ask` if it was asked in this reading already, else None."""
    found: T | None = getattr(_reading, "answers", {}).get(ask)
    return found
