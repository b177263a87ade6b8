"""Textual without its command palette, which is replaced by a menu (`screen.menu`).

The palette and its widgets are a fifth of Textual's modules that a start would import.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

_PALETTE = "textual.command"


class _Spared(ModuleType):
    """Stands for the palette while Textual is imported: has any class, and none does anything."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def import_textual() -> None:
    """Import Textual's app, unless that was done before. Whoever imports the palette later has it.

    To be called before anything else of Textual is imported.
    """
    if "textual.app" in sys.modules or _PALETTE in sys.modules:
        return
    sys.modules[_PALETTE] = _Spared(_PALETTE)
    try:
        import_module("textual.app")
    finally:
        del sys.modules[_PALETTE]
