"""Versions as each kind of package writes them, and the moment that a build is dated to."""

from __future__ import annotations

import os
import subprocess
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]


class Build(NamedTuple):
    """What is built.

    version: as in pyproject.toml. commit: 40 digits, or "". epoch: Unix seconds, of the commit or
    as SOURCE_DATE_EPOCH says. released: whether this commit has the version's tag. tagged: whether
    any has.
    """

    version: str
    commit: str = ""
    epoch: int = 0
    released: bool = False
    tagged: bool = False

    @property
    def debian(self) -> str:
        """Return the version for dpkg and rpm, in which "~" sorts before nothing.

        Between releases it has the commit, and its date so that later ones are upgrades.
        """
        version = self.version.replace("-", "~")
        if self.released:
            return version
        date = time.strftime("%Y%m%d%H%M", time.gmtime(self.epoch))
        commit = f".{self.commit[:8]}" if self.commit else ""
        return f"{version}{'+' if self.tagged else '~'}git{date}{commit}"


def current(environ: Mapping[str, str] = os.environ) -> Build:
    """Return what this tree is. A tree without git has no commit and is dated to now."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    commit, committed = (_git("log", "-1", "--format=%H %ct") or " ").split(" ")
    epoch = environ.get("SOURCE_DATE_EPOCH") or committed or time.time()
    tag = f"v{version}"
    here = tag in _git("tag", "--points-at", "HEAD").split()
    return Build(version, commit, int(epoch), here, bool(_git("tag", "-l", tag)))


def _git(*words: str) -> str:
    try:
        done = subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=False
        )
    except OSError:  # no git
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
