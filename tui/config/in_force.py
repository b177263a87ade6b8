"""The settings in force: the user's, and for what they leave open those of the host.

The host's are root's: /etc/ebpftop/settings.toml, of the same form as a user's. Nothing of
ebpftop writes it; the distribution packages bring it along with every line commented out.
"""

from __future__ import annotations

from dataclasses import fields
from itertools import chain
from pathlib import Path

from tui.config import settings
from tui.config.settings import Settings

HOST = Path("/etc/ebpftop/settings.toml")
_TABLES = ("sort", "keys", "presets")


def load() -> Settings:
    """Read both files; never fail: errors are listed in `problems`."""
    return over(settings.load(settings.path()), host())


def host() -> Settings:
    """Read the host's settings; never fail."""
    return settings.load(HOST)


def files() -> tuple[Path, Path]:
    """Return the user's file and the host's."""
    return settings.path(), HOST


def over(user: Settings, host: Settings) -> Settings:
    """Return the user's settings, with the host's where the user's say nothing.

    Tables are joined key by key. broken: the user's file, as that alone is written to.
    """
    told = {f.name: getattr(user, f.name) for f in fields(Settings)}
    for name, value in told.items():
        if value is None or value == ():
            told[name] = getattr(host, name)
    for name in _TABLES:
        told[name] = {**getattr(host, name), **getattr(user, name)}
    own = {entry.what for entry in user.ordinary}
    ours = (entry for entry in host.ordinary if entry.what not in own)
    told["ordinary"] = tuple(chain(user.ordinary, ours))
    told["problems"] = (*user.problems, *host.problems)
    return Settings(**told)


def forget_ordinary(what: str) -> None:
    """Take out of the user's file what is ordinary. Raises SettingsError: it is the host's."""
    if any(entry.what == what for entry in host().ordinary):
        raise settings.SettingsError(f"{what} is ordinary in {HOST}: remove it there, as root")
    settings.forget_ordinary(settings.path(), what)
