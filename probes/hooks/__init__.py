"""The catalogue: every module in this folder that has a HOOK, found by being there."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from probes.model import Hook


@cache
def catalogue() -> Mapping[str, Hook]:
    """Every hook by name, in the order of the screen."""
    modules = (
        importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)
    )
    hooks = [m.HOOK for m in modules if isinstance(getattr(m, "HOOK", None), Hook)]
    hooks.sort(key=lambda h: (h.order, h.name))
    return MappingProxyType({h.name: h for h in hooks})
