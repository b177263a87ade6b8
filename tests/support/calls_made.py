"""Costs that do not depend on the machine: how many Python functions are called."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any


def calls_made(work: Callable[[], object]) -> int:
    """How many calls of Python functions it makes."""
    return calls_of(work).total()


def calls_of(work: Callable[[], object]) -> Counter[str]:
    """How often it calls each Python function, loops in comprehensions included."""
    found: Counter[str] = Counter()

    def note(frame: Any, event: str, _: object) -> None:
        if event == "call":
            found[f"{frame.f_code.co_filename}:{frame.f_code.co_name}"] += 1

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found
