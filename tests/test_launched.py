"""What the launcher leaves out is there for who asks for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_openssl_is_not_loaded_until_somebody_asks() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.split() == ["False", "2d711642", "True"]


_SCRIPT = """
import sys
from tui.launcher import _import_without_openssl
_import_without_openssl()
import asyncio, hashlib, random
print("_ssl" in sys.modules or "_hashlib" in sys.modules)
print(hashlib.sha256(b"x").hexdigest()[:8])
import ssl, prometheus_client, pyroute2
print(hasattr(ssl, "SSLContext"))
"""
