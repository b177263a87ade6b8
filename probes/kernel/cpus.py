"""The host's CPUs, from sysfs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def listed(which: Literal["online", "possible"]) -> list[int]:
    """Return the numbers of the CPUs that run now, or that per-CPU maps have values for.

    Raises OSError where there is no sysfs.
    """
    text = Path("/sys/devices/system/cpu", which).read_text()  # "0-3,8"
    ranges = [part.partition("-") for part in text.strip().split(",")]
    return [cpu for first, _, last in ranges for cpu in range(int(first), int(last or first) + 1)]
