"""What the launcher leaves out is there for who asks for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def _told(script: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout.split()


def test_openssl_is_not_loaded_until_somebody_asks() -> None:
    assert _told(_WITHOUT_OPENSSL) == ["False", "2d711642", "True"]


def test_textual_s_palette_is_not_loaded_until_somebody_asks() -> None:
    assert _told(_WITHOUT_PALETTE) == ["False", "True"]


_WITHOUT_OPENSSL = """
import sys
from tui.launcher import _import_without_openssl
_import_without_openssl()
import asyncio, hashlib, random
print("_ssl" in sys.modules or "_hashlib" in sys.modules)
print(hashlib.sha256(b"x").hexdigest()[:8])
import ssl, prometheus_client, pyroute2
print(hasattr(ssl, "SSLContext"))
"""


_WITHOUT_PALETTE = """
import sys
from tui.terminal.without_palette import import_textual
import_textual()
from tui.screen import app
print("textual.command" in sys.modules or "textual.widgets._input" in sys.modules)
from textual.command import CommandPalette
print(hasattr(CommandPalette, "is_open"))
"""
