"""The network namespaces of processes, looked up once for all callers."""

from __future__ import annotations

from threading import Lock
from time import monotonic

from probes.kernel.net_namespaces import NetNamespaces


class SharedNamespaces:
    """A `NetNamespaces` for all: looked for once in `REST` seconds. Thread-safe."""

    REST = 0.2

    def __init__(self) -> None:
        self._namespaces, self._lock = NetNamespaces(), Lock()
        self._found: dict[int, int] = {}
        self._asked = 0.0

    @property
    def complete(self) -> bool:
        """Whether every process was asked once."""
        return self._namespaces.complete

    def find(self) -> dict[int, int]:
        """Return the namespaces, each with its oldest process. Raises OSError."""
        with self._lock:
            if not self.complete or monotonic() - self._asked > self.REST:
                self._found, self._asked = self._namespaces.find(), monotonic()
            return dict(self._found)


shared = SharedNamespaces()
"""The namespaces that all readers of this process share."""
