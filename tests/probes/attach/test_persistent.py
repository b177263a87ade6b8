"""What outlives the process: at the end all of it is let go of."""

from __future__ import annotations

from pathlib import Path

import pytest

from probes.attach.persistent import Registry


@pytest.mark.parametrize("kind", [OSError, RuntimeError, AttributeError])
def test_what_cannot_be_let_go_of_keeps_nothing_else(tmp_path: Path, kind: type[Exception]) -> None:
    gone: list[str] = []

    def stuck() -> None:
        raise kind

    register = Registry(tmp_path)
    register._undo = [lambda: gone.append("first"), stuck, lambda: gone.append("last")]
    register.release()
    assert gone == ["last", "first"]
