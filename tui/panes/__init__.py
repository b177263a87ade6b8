"""The registry of panes: one file or one folder per pane, found by being there.

A file defines `PANE`; a folder does so in its `pane.py`. Panes import `tui.toolkit` and the
packages before it, never each other.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache

from probes.model import Hook
from tui.toolkit.pane import EVERY, Pane


@cache
def _found() -> tuple[Pane, ...]:
    places = (f"{m.name}.pane" if m.ispkg else m.name for m in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{place}") for place in places]
    return tuple(sorted((m.PANE for m in modules), key=lambda p: p.order))


def panes(catalogue: Mapping[str, Hook]) -> tuple[Pane, ...]:
    """Return every pane whose first hook the source knows, in the order of the keys 1, 2, 3..."""
    return tuple(p for p in _known(catalogue) if not p.inner)


def inner_panes(catalogue: Mapping[str, Hook]) -> dict[str, Pane]:
    """Return the panes that a key opens, by name."""
    return {p.name: p for p in _known(catalogue) if p.inner}


def _known(catalogue: Mapping[str, Hook]) -> Iterator[Pane]:
    return (p for p in _found() if p.hooks[0] == EVERY or p.hooks[0] in catalogue)
