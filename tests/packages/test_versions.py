"""Versions of packages: what dpkg and rpm take for an upgrade."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from itertools import pairwise

import pytest

from packages.versions import ROOT, Build, current

COMMIT = "0123456789abcdef0123456789abcdef01234567"
DAY = 86_400
BEFORE = Build("1.2.0", COMMIT, 20_000 * DAY)
LATER = Build("1.2.0", COMMIT, 20_000 * DAY + 60)
RELEASED = Build("1.2.0", COMMIT, 20_001 * DAY, released=True, tagged=True)
AFTER = Build("1.2.0", COMMIT, 20_002 * DAY, tagged=True)
CANDIDATE = Build("1.3.0-rc1", COMMIT, 20_003 * DAY, released=True, tagged=True)
NEXT = Build("1.3.0", COMMIT, 20_004 * DAY, released=True, tagged=True)


def test_a_release_has_its_own_version_and_others_their_commit() -> None:
    assert RELEASED.debian == "1.2.0"
    assert BEFORE.debian == "1.2.0~git202410040000.01234567"
    assert AFTER.debian == "1.2.0+git202410060000.01234567"
    assert CANDIDATE.debian == "1.3.0~rc1"
    assert Build("1.2.0", "", 0).debian == "1.2.0~git197001010000"


def test_each_is_an_upgrade_of_the_one_before() -> None:
    if shutil.which("dpkg") is None:
        pytest.skip("dpkg compares them")
    versions = [b.debian for b in (BEFORE, LATER, RELEASED, AFTER, CANDIDATE, NEXT)]
    for older, newer in pairwise(versions):
        command = ["dpkg", "--compare-versions", older, "lt", newer]
        assert subprocess.run(command, check=False).returncode == 0, (older, newer)


def test_a_build_is_dated_as_it_is_told() -> None:
    build = current({"SOURCE_DATE_EPOCH": "86400"})
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (build.version, build.epoch) == (project["version"], DAY)
