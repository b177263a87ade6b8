"""Locations of the user's files: the XDG base directories, below `ebpftop`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

NOWHERE = Path("/dev/null")
"""The home of a user without one: nothing exists there and nothing can be created."""


def config(environ: Mapping[str, str] = os.environ) -> Path:
    """Return $XDG_CONFIG_HOME/ebpftop, or ~/.config/ebpftop."""
    return _base(environ, "XDG_CONFIG_HOME", ".config") / "ebpftop"


def state(environ: Mapping[str, str] = os.environ) -> Path:
    """Return $XDG_STATE_HOME/ebpftop, or ~/.local/state/ebpftop."""
    return _base(environ, "XDG_STATE_HOME", ".local/state") / "ebpftop"


def _base(environ: Mapping[str, str], variable: str, usual: str) -> Path:
    """Return the base directory; ignore a relative path, as the XDG specification requires."""
    told = environ.get(variable, "")
    return Path(told) if told.startswith("/") and "\0" not in told else _home() / usual


def _home() -> Path:
    try:
        home = Path.home()
    except RuntimeError:  # no HOME, and an unknown user
        return NOWHERE
    return home if home.is_absolute() else NOWHERE
