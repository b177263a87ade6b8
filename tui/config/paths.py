"""Where a person's files are: the XDG base directories, below `ebpftop`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

NOWHERE = Path("/dev/null")
"""The home of who has none: nothing can be there, and nothing can be made there."""


def config(environ: Mapping[str, str] = os.environ) -> Path:
    """$XDG_CONFIG_HOME/ebpftop, or ~/.config/ebpftop."""
    return _base(environ, "XDG_CONFIG_HOME", ".config") / "ebpftop"


def state(environ: Mapping[str, str] = os.environ) -> Path:
    """$XDG_STATE_HOME/ebpftop, or ~/.local/state/ebpftop."""
    return _base(environ, "XDG_STATE_HOME", ".local/state") / "ebpftop"


def _base(environ: Mapping[str, str], variable: str, usual: str) -> Path:
    """A path that is not absolute is as good as none: the specification says so."""
    told = environ.get(variable, "")
    return Path(told) if told.startswith("/") and "\0" not in told else _home() / usual


def _home() -> Path:
    try:
        home = Path.home()
    except RuntimeError:  # no HOME, and nobody knows the user
        return NOWHERE
    return home if home.is_absolute() else NOWHERE
