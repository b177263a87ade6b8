"""What a screen has seen of the demo, kept once and given to every screen that begins there.

Thirty ticks through the collector take ten times as long as the rest of a screen's beginning. What
they leave behind is pickled: what never changes (samples, figures, frames) is shared.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Hashable
from dataclasses import fields
from types import FunctionType, MappingProxyType
from typing import Any

from probes.analysis.history import Figure
from probes.analysis.snapshot import Snapshot
from probes.model import Column, Hook, Rung, Sample, Status
from probes.recording.tape import Frame
from tui.session.view import View

SHARED = (Snapshot, Column, Hook, Rung, Sample, Status, Frame, Figure)
SHARED += (FunctionType, MappingProxyType)
"""Frozen, or without anything that a screen changes."""
VIEW = {f.name for f in fields(View) if f.init} - {"catalogue", "bits", "ascii", "about"}
# What a screen is joined by is its own; whatever else it has, kept or added later, is state.
CONTROL = {"_source", "_tell", "_now", "_tasks"}
COLLECTOR = {"_source", "_changed", "figures", "view", "control", "tape", "_room", "keep"}
DEMO = {"host", "interval", "_hooks", "_begin", "_pace", "_started"}


class Prepared:
    """The state of a screen that has settled and was touched by nothing but readings."""

    _KEPT: dict[Hashable, Prepared] = {}

    def __init__(self, app: Any) -> None:
        self._shared: list[Any] = []
        self._places: dict[int, int] = {}
        file = io.BytesIO()
        pickler = pickle.Pickler(file, pickle.HIGHEST_PROTOCOL)
        pickler.persistent_id = self._share  # type: ignore[method-assign]
        pickler.dump([{n: getattr(o, n) for n in names} for o, names in _parts(app)])
        self._data = file.getvalue()

    @classmethod
    def keep(cls, key: Hashable, app: Any) -> None:
        cls._KEPT.setdefault(key, cls(app))

    @classmethod
    def restore(cls, key: Hashable, app: Any) -> bool:
        """Whether there was anything for that key."""
        if key in cls._KEPT:
            cls._KEPT[key]._restore(app)
        return key in cls._KEPT

    def _share(self, value: Any) -> int | None:
        if not isinstance(value, SHARED) and not hasattr(value, "flush"):  # zlib's
            return None
        if id(value) not in self._places:
            self._places[id(value)] = len(self._shared)
            self._shared.append(value.copy() if hasattr(value, "flush") else value)
        return self._places[id(value)]

    def _restore(self, app: Any) -> None:
        unpickler = pickle.Unpickler(io.BytesIO(self._data))
        unpickler.persistent_load = self._shared_at  # type: ignore[method-assign]
        for (object, _), state in zip(_parts(app), unpickler.load(), strict=True):
            for name, value in state.items():
                setattr(object, name, value)

    def _shared_at(self, place: int) -> Any:
        value = self._shared[place]
        return value.copy() if hasattr(value, "flush") else value


def _parts(app: Any) -> list[tuple[Any, Any]]:
    collector, source = app.session.collector, app.session.source
    return [
        (collector.view, VIEW),
        (collector.control, vars(collector.control).keys() - CONTROL),
        (collector, vars(collector).keys() - COLLECTOR),
        (collector.tape, vars(collector.tape).keys() - {"hooks"}),
        (source, vars(source).keys() - DEMO),
    ]
