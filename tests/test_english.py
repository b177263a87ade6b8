"""Texts for users are plain English: words that make a riddle of a sentence are not in them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.papers import PAGES, ROOT

RIDDLES = re.compile(
    r"\b(anew|whoever|just now|by now|of late|not any more|what is usual|in peace"
    r"|nobody is replaced|a person'?s?|called like|cannot be looked for|programs ask so)\b",
    re.IGNORECASE,
)


def _texts(path: Path) -> Iterator[str]:
    """Yield what a file may say; not its docstrings, nor names and C."""
    tree = ast.parse(path.read_text())
    docs = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


def test_no_text_for_users_is_a_riddle() -> None:
    files = [path for top in ("probes", "tui") for path in sorted((ROOT / top).rglob("*.py"))]
    said = [(path.name, text) for path in files for text in _texts(path) if RIDDLES.search(text)]
    assert said == []


def test_no_page_for_users_is_a_riddle() -> None:
    for page in (*PAGES, ROOT / "CHANGELOG.md"):
        text = " ".join(page.read_text().split())
        assert (page.name, RIDDLES.findall(text)) == (page.name, [])
