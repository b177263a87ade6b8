"""The version of the distribution's bcc, from the process that would import it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_CHILD = Path(__file__).with_name("bcc_worker.py")


def installed() -> str:
    """Return the version, as "0.26.0"; "" where bcc is not installed. Nothing imports it."""
    command = [sys.executable, "-P", str(_CHILD), "--version"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # no memory or no process is left
        return ""
    return done.stdout.strip()
