"""Prepare what `make docs` builds, in build/: the site's pages, the manual page, completions.

`python -m docs.build`. Pages keep their places, so that a link means the same in the repository and
on the site; the reference is made from the code (`docs.reference`).
"""

from __future__ import annotations

import shutil
from pathlib import Path

from docs import reference
from tui.commands import _manual, _shells

ROOT = Path(__file__).resolve().parents[1]
TOP = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")
TREES = ("docs", "snapshots/screens")


def pages(folder: Path) -> None:
    """Write the pages into an empty folder."""
    for name in TOP:
        shutil.copy(ROOT / name, folder / name)
    for tree in TREES:
        skipped = shutil.ignore_patterns("*.py", "*.txt", "mkdocs.yml", "__pycache__")
        shutil.copytree(ROOT / tree, folder / tree, ignore=skipped)
    reference.write(folder / "docs" / "reference")


def main() -> None:
    """Write everything below build/ again."""
    build = ROOT / "build"
    shutil.rmtree(build / "pages", ignore_errors=True)
    (build / "pages").mkdir(parents=True)
    pages(build / "pages")
    (build / "ebpftop.1").write_text(_manual.page())
    (build / "completions").mkdir(exist_ok=True)
    for shell in _shells.SHELLS:
        (build / "completions" / f"ebpftop.{shell}").write_text(_shells.script(shell))


if __name__ == "__main__":
    main()
