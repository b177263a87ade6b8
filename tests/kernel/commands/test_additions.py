"""A hook, and a kind of attach point that it is at, are one file each: found by being there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import additions
from tests.support.commands import ebpftop, readable_tree

pytestmark = pytest.mark.kernel
CALLS = 50
_CALL = f"import os\nfor _ in range({CALLS}): os.getpgid(0)\nprint(os.getpid())"


@pytest.fixture
def tree() -> Iterator[Path]:
    with readable_tree() as tree:
        additions.put(tree)
        yield tree


def test_a_hook_at_a_point_of_its_own_counts(tree: Path) -> None:
    def calls() -> None:
        done = subprocess.run([sys.executable, "-c", _CALL], capture_output=True, check=True)
        pids.append(int(done.stdout))

    pids: list[int] = []
    command = (sys.executable, "-m", "tui.cli", "stream", "--hook", "another")
    more = ("--interval", "0.2", "--count", "40")
    with subprocess.Popen([*command, *more], cwd=tree, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            (hook,) = json.loads(line)["hooks"]
            if hook["rung"] == "another" and not pids:
                calls()
            seen = {row["pid"]: row["calls"] for row in hook["rows"]}
            if pids and pids[0] in seen:
                child.terminate()
                break
    assert seen[pids[0]] == CALLS


def test_it_is_in_the_catalogue(tree: Path) -> None:
    assert "Who asks for process groups?" in ebpftop("hooks", cwd=tree).stdout
    assert "another\n" not in ebpftop("hooks").stdout
