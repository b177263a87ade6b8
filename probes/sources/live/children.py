"""The compiler's children: what they may yet take of the bound on memory."""

from __future__ import annotations

from collections.abc import Callable

from probes.compile.compiler import Compiler
from probes.sources.live.room import COMPILER
from probes.sources.live.usage import resident


class CountedCompiler(Compiler):
    """A compiler that says what its children may yet take, and keeps none for which there is no
    room any more.

    fits: whether there is room for what is there.
    """

    fits: Callable[[], bool] = staticmethod(lambda: True)

    def _wait_for_room(self) -> None:
        if self._idle and not self.fits():
            self._retire()
        super()._wait_for_room()

    def growth(self) -> int:
        """Bytes beyond what they take now."""
        pids = [child._process.pid for child in tuple(self._children)]
        return sum(max(COMPILER - resident(pid), 0) for pid in pids)
