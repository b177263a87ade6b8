"""The catalogue: one file or one folder per hook, found by being there.

A file has a `HOOK` (or `HOOKS`); a folder has them in its `hook.py`, beside its readers and its C.
Hooks are data: they import only the packages below `hooks`, nothing that attaches, and no bcc.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType

from probes.model import Hook


@cache
def catalogue() -> Mapping[str, Hook]:
    """Return every hook by name, in the order in which the screen shows them."""
    hooks = sorted(_found(), key=lambda h: (h.order, h.name))
    return MappingProxyType({h.name: h for h in hooks})


def _found() -> Iterator[Hook]:
    for module in pkgutil.iter_modules(__path__):
        place = f"{module.name}.hook" if module.ispkg else module.name
        declared = importlib.import_module(f"{__name__}.{place}")
        yield from getattr(declared, "HOOKS", None) or (declared.HOOK,)
