"""Every kind of attach point that there is."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

from probes import attach
from probes.point import Point


def kinds() -> list[type[Point]]:
    """Return them by name, from all files of `probes.attach`."""
    names = [f"probes.attach.{file.stem}" for file in Path(attach.__file__).parent.glob("*.py")]
    members = [m for name in names for m in inspect.getmembers(importlib.import_module(name))]
    found = {
        member
        for _, member in members
        if inspect.isclass(member) and issubclass(member, Point) and _is_one(member)
    }
    return sorted(found, key=lambda kind: kind.__name__)


def _is_one(kind: type[Point]) -> bool:
    return hasattr(kind, "__dataclass_fields__")
