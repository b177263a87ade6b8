"""numpy, loaded when it is first used: `from probes.arrays import np`.

Loading it takes 0.1 s and 21 MB, which `--help`, `hooks`, `doctor` and the first paint do without.
Its linear algebra, which nothing here uses, would start a thread for each CPU.
"""

from __future__ import annotations

import importlib.util
import os
from types import ModuleType
from typing import TYPE_CHECKING

from probes.errors import ProbeError

__all__ = ["FEW", "check", "np"]

FEW = 64
"""Rows up to which Python's own objects cost less than arrays: each operation on an array takes
about a microsecond, however short it is."""
_REMEDY = "Install numpy 1.24 or newer for this Python: `make setup`, or `pip install numpy`."


def check() -> None:
    """Look for numpy without loading it. Raises ProbeError, in one sentence, if there is none."""
    if importlib.util.find_spec("numpy") is None:
        raise ProbeError("numpy is not installed", remedy=_REMEDY)


class _Numpy(ModuleType):
    """A stand-in for numpy that loads it at the first use and then has all that was used."""

    def __getattr__(self, name: str) -> object:
        found = getattr(_imported(), name)
        setattr(self, name, found)
        return found


def _imported() -> ModuleType:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        return importlib.import_module("numpy")
    except ImportError as missing:
        why = str(missing).strip().partition("\n")[0] or "it cannot be imported"
        raise ProbeError(f"numpy cannot be loaded: {why}", remedy=_REMEDY) from missing


if TYPE_CHECKING:
    import numpy as np
else:
    np = _Numpy("numpy")
