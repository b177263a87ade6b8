"""Servers that notice at once that they are to end."""

from __future__ import annotations

from functools import partialmethod
from socketserver import BaseServer

import pytest

from tui.prometheus.server import Server


@pytest.fixture(autouse=True)
def _ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """They look every half a second else."""
    looking = partialmethod(BaseServer.serve_forever, poll_interval=0.02)
    monkeypatch.setattr(Server, "serve_forever", looking)
