"""The papers for users: the pages, and the commands that their examples show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = (
    *ROOT.glob("README.md"),  # a guest of the matrix has no papers
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/guide").glob("*.md")),
)
_BLOCK = re.compile(r"```(?:sh|console)?\n(.*?)```", re.DOTALL)
_COMMENT = re.compile(r"\s{3,}\S.*|\s+# .*")


class Shown(NamedTuple):
    """A line of an example, as it would be typed, and its page."""

    page: str
    line: str


def examples() -> Iterator[Shown]:
    """Yield each line that runs ebpftop, without what is said of it behind."""
    for path in PAGES:
        for block in _BLOCK.findall(path.read_text()):
            for line in block.splitlines():
                if re.match(r"\$? ?(?:sudo )?ebpftop\b", line):
                    typed = _COMMENT.sub("", line.removeprefix("$ "))
                    yield Shown(str(path.relative_to(ROOT)), typed.strip())


def arguments(line: str) -> str:
    """Return what follows `ebpftop` in a line, up to a pipe or a redirection."""
    (found,) = re.findall(r"^(?:sudo )?ebpftop ?((?:'[^']*'|[^|>])*)", line)
    return str(found)
