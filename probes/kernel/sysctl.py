"""Kernel parameters (sysctl), of this host and this network namespace."""

from __future__ import annotations

import re
from pathlib import Path

_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+")
_MOST = 200


def value(name: str) -> str | None:
    """Return a parameter's value, such as that of net.core.rmem_max; None if it cannot be read.

    name: with dots, none of which is a part's own. Values of several numbers have spaces between.
    """
    if not _NAME.fullmatch(name):
        return None
    try:
        with Path("/proc/sys", *name.split(".")).open("rb") as file:
            text = file.read(_MOST).decode("ascii", "replace")
    except OSError:
        return None
    return " ".join(text.split()) or None
