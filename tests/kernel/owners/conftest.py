"""State of containers for a test: in a folder with a short name, and nowhere else."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.owners import podman


@pytest.fixture
def podman_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where Podman keeps the test's containers, and where we look for them.

    Podman takes no run root of more than 50 characters, and its monitor writes there to its end.
    """
    with tempfile.TemporaryDirectory(prefix="ebpftop-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        monkeypatch.setattr(podman, "GRAPH_ROOT", folder / "graph")
        monkeypatch.setattr(podman, "RUN_ROOT", folder / "run")
        monkeypatch.setattr(podman, "SETTINGS", folder / "none")
        yield folder
