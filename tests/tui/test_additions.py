"""A subcommand and a pane are one file each: found by being there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import additions
from tests.support.commands import ebpftop, readable_tree

_PANES = """
from probes.hooks import catalogue
from tui.panes import panes
pane = next(p for p in panes(catalogue()) if p.name == "another")
print(pane.title, *(f.name for f in pane.fields(catalogue())))
"""


@pytest.fixture(scope="module")
def tree() -> Iterator[Path]:
    with readable_tree() as tree:
        additions.put(tree)
        yield tree


def test_a_subcommand_runs_and_is_in_the_help(tree: Path) -> None:
    done = ebpftop("another", "world", cwd=tree)
    assert (done.returncode, done.stdout) == (3, "hello, world\n")
    assert "a greeting" in ebpftop("--help", cwd=tree).stdout
    assert ebpftop("another", cwd=tree).returncode == 2


def test_a_pane_is_among_the_panes(tree: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PANES], cwd=tree, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["Another", "pid", "calls_per_s"]
