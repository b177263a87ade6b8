"""What several hooks ask of the kernel in one reading is asked once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

_reading = threading.local()


@contextmanager
def reading() -> Iterator[None]:
    """What this thread asks by `once` until the `with` ends, is asked for the first time only."""
    _reading.answers = {}
    try:
        yield
    finally:
        del _reading.answers


def shared() -> bool:
    """Whether this thread is in a `reading`."""
    return hasattr(_reading, "answers")


def once(ask: Callable[[], T]) -> T:
    """What `ask` gives: in a `reading` as old as that is at most, else what is there now.

    Whoever asks in the same reading gets the same object, so nobody may change it. What `ask`
    raises is not kept.
    """
    if not shared():
        return ask()
    answers: dict[Callable[[], Any], Any] = _reading.answers
    if ask not in answers:
        answers[ask] = ask()
    found: T = answers[ask]
    return found
