"""Locations of the user's files: the XDG base directories, below `ebpftop`.

Under sudo they are those of the user who called it: what is saved can be found again, and
settings are the same with sudo and without. Hook files alone are root's then
(`probes.custom.hook_files`), as they run with all privileges. The package platformdirs knows no
sudo, and takes a relative path: both are mended here, and nowhere else.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from probes.recording import files

NOWHERE = Path("/dev/null")
"""The home of a user without one: nothing exists there and nothing can be created."""
_BASES = "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"


def ignore_relative() -> None:
    """Forget relative base directories, as the XDG specification requires. Call at the start."""
    for name in _BASES:
        if not os.environ.get(name, "/").startswith("/"):
            del os.environ[name]


def config() -> Path:
    """Return $XDG_CONFIG_HOME/ebpftop, or ~/.config/ebpftop."""
    return _of_person("XDG_CONFIG_HOME", "user_config_path")


def state() -> Path:
    """Return $XDG_STATE_HOME/ebpftop, or ~/.local/state/ebpftop."""
    return _of_person("XDG_STATE_HOME", "user_state_path")


def _of_person(variable: str, which: str) -> Path:
    """Return a folder of platformdirs, in the home of the user who called sudo."""
    from platformdirs.unix import Unix  # only now: it is not needed for every command

    try:
        path: Path = getattr(Unix("ebpftop"), which)
        return path if os.environ.get(variable) else home() / path.relative_to(Path.home())
    except (RuntimeError, ValueError):  # no HOME, and an unknown user; a relative one
        return NOWHERE / "ebpftop"


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
