"""Answers that are cached only if there is one: what is missing now may come later."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import update_wrapper
from typing import Generic, TypeVar

T = TypeVar("T")


class remembered(Generic[T]):
    """Decorator: a cache of a function's answers, but for None and whatever is empty.

    Those are asked for again: a file system may be mounted, a module loaded, a package installed
    later. Nor is an exception kept. For questions of which there is a bounded number.
    """

    def __init__(self, ask: Callable[..., T]) -> None:
        self._ask = ask
        self._known: dict[tuple[Hashable, ...], T] = {}
        update_wrapper(self, ask)

    def __call__(self, *about: Hashable) -> T:
        known = self._known.get(about)
        if known is None:
            known = self._ask(*about)
            if known:
                self._known[about] = known
        return known

    def cache_clear(self) -> None:
        self._known.clear()
