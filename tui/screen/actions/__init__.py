"""Groups of keys, ONE FILE EACH, found by being there.

A file has a subclass of `Actions`, whose `keys` name its methods. Groups do not see each other:
what several need is in `Context`.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from tui.screen.context import Actions


@cache
def groups() -> tuple[type[Actions], ...]:
    """Return every group of keys, in order."""
    names = (f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__))
    found = [group for name in names for group in _in(name)]
    return tuple(sorted(found, key=lambda group: (group.order, group.__module__)))


def _in(module: str) -> list[type[Actions]]:
    everything = vars(importlib.import_module(module)).values()
    classes = [thing for thing in everything if isinstance(thing, type)]
    return [c for c in classes if issubclass(c, Actions) and c.__module__ == module]
