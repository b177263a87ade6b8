"""`make release-check`: what it finds wrong, and that our own package is whole."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs import moving_picture, release
from tui.screen.tour import CHAPTERS


@pytest.mark.parametrize(
    ("version", "tags", "said"),
    [
        ("0.1.0", [], []),
        ("0.1.1", ["v0.1.0", "other"], []),
        ("0.10.0", ["v0.9.3"], []),
        ("0.1.0", ["v0.1.0"], ["version 0.1.0 is not greater than v0.1.0, the last tag"]),
        ("0.9.4", ["v0.10.0"], ["version 0.9.4 is not greater than v0.10.0, the last tag"]),
        ("1.0", [], ["version 1.0 is not MAJOR.MINOR.PATCH (semver.org)"]),
    ],
)
def test_a_version_is_semantic_and_new(version: str, tags: list[str], said: list[str]) -> None:
    assert list(release.wrong_version(version, tags)) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("## 1.2.3 - 2026-12-01\n\n### Fixed\n\n- A thing.\n\n## 1.2.2\n", []),
        ("## 1.2.2 - 2026-12-01\n", ["CHANGELOG.md has no section ## 1.2.3"]),
        (
            "## 1.2.3 (unreleased)\n\n- A thing.\n",
            ["CHANGELOG.md: write the date: ## 1.2.3 - YYYY-MM-DD"],
        ),
        ("## 1.2.3 - 2026-12-01\n\n## 1.2.2\n- A\n", ["CHANGELOG.md says nothing of 1.2.3"]),
        (
            "## 1.2.3 - 2026-12-01\n### Improved\n- A\n",
            ["CHANGELOG.md: Improved is no group of Keep a Changelog"],
        ),
    ],
)
def test_a_changelog_tells_of_the_version(text: str, said: list[str]) -> None:
    assert list(release.wrong_changelog("1.2.3", text)) == said


def test_our_own_changelog_lacks_a_date_at_most() -> None:
    text = (release.ROOT / "CHANGELOG.md").read_text()
    assert len(list(release.wrong_changelog("0.1.0", text))) <= 1


def test_what_is_not_committed_is_named() -> None:
    assert list(release.wrong_tree("")) == []
    assert list(release.wrong_tree(" M a.py\n?? b\n")) == ["not committed: a.py, b"]


def test_a_package_without_its_files_would_be_found(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as packed:
        packed.writestr("ebpftop/__init__.py", "")
    said = list(release.wrong_wheel(tmp_path / "x.whl"))
    assert "the package lacks the licence text LICENSE.GPL-2.0" in said
    assert "the package lacks ebpftop/themes/dark.toml" in said
    assert "the package lacks ebpftop/__init__.py" not in said


def test_the_moving_picture_shows_one_frame_after_the_other() -> None:
    """The first is seen where nothing moves; nothing is fetched from elsewhere."""
    head = '<svg class="x" viewBox="0 0 10 5" xmlns="http://www.w3.org/2000/svg">'
    font = "<style>@font-face { src: url(https://example.org/a.woff) } .a { fill: red }</style>"
    moved = moving_picture.moving([f"{head}{font}<text>{n}</text></svg>" for n in "ABC"], 2.0)
    assert moved.count("<svg") == moved.count("</svg>") == 1
    assert re.findall(r"<text>(.)</text>", moved) == ["A", "B", "C"]
    assert re.findall(r"animation-delay:(\S+?)s", moved) == ["2", "4"]
    assert "animation:f 6s infinite" in moved
    assert "url(" not in moved
    ElementTree.fromstring(moved)


def test_the_readme_s_picture_is_one_and_has_a_frame_for_each_chapter() -> None:
    """Whether it is that of this tree, `make release-check` says: every change of the screen."""
    picture = moving_picture.FILE.read_text()
    ElementTree.fromstring(picture)
    assert picture.count('<g class="f"') == len(CHAPTERS) - 1
    assert "docs/tour.svg" in (release.ROOT / "README.md").read_text()
