"""Anybody may name a mount: the list of mounts is bytes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.commands import ROOT

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]

_ASK = "from probes.kernel import cgroups; print(cgroups.root())"
_BESIDE_A_MOUNT = """
set -e
mount --make-rprivate /
place=$(mktemp -d); trap 'umount "$place"/*; rm -r "$place"' EXIT
mkdir "$place/$(printf 'a\\377 b')"
mount -t tmpfs none "$place"/*
"$0" -c "$1"
"""


def test_a_mount_whose_name_is_no_text_hides_no_cgroups() -> None:
    plain = subprocess.run([sys.executable, "-c", _ASK], cwd=ROOT, capture_output=True, check=True)
    command = ["unshare", "--mount", "bash", "-c", _BESIDE_A_MOUNT, sys.executable, _ASK]
    beside = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    assert beside.stdout == plain.stdout
