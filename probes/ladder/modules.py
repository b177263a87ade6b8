"""Compiled modules, one for each source, shared by the attachments that use them."""

from __future__ import annotations

import threading
from contextlib import ExitStack

from probes.compile.compiler import Compiler, Module


class Modules:
    """What is compiled, for as long as somebody uses it."""

    def __init__(self, compiler: Compiler) -> None:
        self._compiler = compiler
        self._lock = threading.Lock()
        self._held: dict[str, tuple[threading.Lock, list[Module], int]] = {}

    def take(self, source: str, stack: ExitStack) -> Module:
        """Return the module of a source, compiled if need be; given back when `stack` unwinds."""
        with self._lock:
            making, made, users = self._held.get(source, (threading.Lock(), [], 0))
            self._held[source] = (making, made, users + 1)
        stack.callback(self._give_back, source)
        with making:
            if not made:
                made.append(self._compiler.compile(source))
            return made[0]

    def _give_back(self, source: str) -> None:
        with self._lock:
            making, made, users = self._held[source]
            if users > 1:
                self._held[source] = (making, made, users - 1)
                return
            del self._held[source]
        for module in made:
            module.close()
