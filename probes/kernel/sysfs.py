"""sysfs: whether it is mounted; if not, what it shows may still exist."""

from __future__ import annotations

from errno import ENOENT
from pathlib import Path

from probes.errors import Unsupported

_KERNEL = Path("/sys/kernel")


def not_mounted(what: str) -> Unsupported | None:
    """Return the refusal where sysfs is not mounted, else None. what: it shows, in words."""
    if _KERNEL.is_dir():
        return None
    why = f"sysfs, which shows {what}, is not mounted"
    return Unsupported(why, errno=ENOENT, remedy="As root: mount -t sysfs sysfs /sys")
