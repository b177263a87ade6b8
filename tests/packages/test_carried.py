"""What packages carry: the libraries that ebpftop needs, and nothing that only tests need."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from packages import carried, tree
from packages.versions import ROOT


def test_every_dependency_is_carried_or_the_host_s() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {Requirement(text).name.replace("_", "-") for text in project["dependencies"]}
    names = {one.name.replace("_", "-").lower() for one in carried.needed(tree.THEIRS)}
    assert wanted - names == set(tree.THEIRS)
    assert {"rich", "markdown-it-py", "linkify-it-py"} <= names, "what those need, extras too"
    assert not names & {"pytest", "mkdocs", "hatchling", "ebpftop"}


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("rich/table.py", True),
        ("rich/py.typed", True),
        ("rich-1.dist-info/METADATA", True),
        ("rich-1.dist-info/licenses/LICENSE", True),
        ("rich-1.dist-info/RECORD", False),
        ("rich-1.dist-info/direct_url.json", False),
        ("numpy/testing/__init__.py", True),
        ("numpy/linalg/tests/test_linalg.py", False),
        ("numpy/__init__.pyi", False),
        ("rich/__pycache__/table.pyc", False),
    ],
)
def test_tests_and_what_was_compiled_are_left_out(name: str, taken: bool) -> None:
    assert carried.wanted(name) is taken


def test_what_is_compiled_is_seen(tmp_path: Path) -> None:
    carried.copy([metadata.distribution("psutil")], tmp_path)
    assert any("_psutil_linux" in name for name in carried.compiled(tmp_path))
