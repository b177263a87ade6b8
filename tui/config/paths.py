"""Locations of the user's files: the XDG base directories, below `ebpftop`.

Under sudo they are those of the user who called it: what is saved can be found again, and
settings are the same with sudo and without. Hook files alone are root's then
(`probes.custom.hook_files`), as they run with all privileges. The package platformdirs knows no
sudo, and takes a relative path.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path

from probes.recording import files

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
    return Path(told) if told.startswith("/") and "\0" not in told else home() / usual


def home() -> Path:
    """Return the home of the user who called sudo, else of this user; NOWHERE without one."""
    person = files.person()
    try:
        if person is not None:
            return Path(pwd.getpwuid(person[0]).pw_dir)
    except KeyError:
        pass  # nobody knows that number any more
    try:
        home = Path.home()
    except RuntimeError:  # no HOME, and an unknown user
        return NOWHERE
    return home if home.is_absolute() else NOWHERE
