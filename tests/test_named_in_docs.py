"""What the pages for developers name is there: files, modules, classes, and their members."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from docs import reference
from tui.commands._parsing import parsers

ROOT = Path(__file__).parents[1]
PAGES = ("docs/architecture.md", "CONTRIBUTING.md", *sorted(
    str(page.relative_to(ROOT)) for page in (ROOT / "docs/design").glob("*.md")
))  # fmt: skip
TOPS = ("probes", "tui", "tests", "bench", "docs", "packages", "snapshots", "themes")
EXAMPLES = ("my_", "NAME", "self.", "/", "~/", "runs/")
"""How names begin or end that are another one's: a file to be added, or a place on a host."""
OUTSIDE = {"None", "ExitStack", "task_struct.tgid", "tomlkit", "since start"}
"""Names of Python, of other packages and of the kernel."""
_PATH = re.compile(r"[\w.\-]+(/[\w.\-]*)+|[\w\-]+\.(py|md|c|h|json|toml)")
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_CLASS = re.compile(r"[A-Z][a-z]+([A-Z][a-z]+)*")
_WORD = re.compile(r"[A-Za-z]\w*")


class Module(NamedTuple):
    """What a file defines: classes with their members, and all other names."""

    classes: dict[str, set[str]]
    names: set[str]


def named(page: str) -> set[str]:
    """What stands between backticks, without examples of code, and without an empty call."""
    text = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    found = (re.sub(r"\s+", " ", span).removesuffix("()") for span in re.findall("`([^`]+)`", text))
    return {n for n in found if n not in OUTSIDE and not n.startswith(EXAMPLES)}


def missing(names: set[str]) -> list[str]:
    return sorted(n for n in names if not _is_there(n))


def _is_there(name: str) -> bool:
    if _PATH.fullmatch(name):
        example = any(part in name for part in ("my_", "NAME"))
        return example or any(f"/{place}".endswith(f"/{name.rstrip('/')}") for place in _places())
    if _DOTTED.fullmatch(name):
        return _dotted(name.split("."))
    if _CLASS.fullmatch(name):
        return any(name in module.classes for module in _modules().values())
    return not _WORD.fullmatch(name) or name in _words()


def _dotted(parts: list[str]) -> bool:
    """Whether it is a module, or something in one, or a member of a class."""
    for at in range(len(parts) + 1):
        for module in _ending_with(tuple(parts[:at])):
            if _has(module, parts[at:]):
                return True
    return False


def _ending_with(end: tuple[str, ...]) -> Iterator[Module]:
    return (m for name, m in _modules().items() if not end or name[-len(end) :] == end)


def _has(module: Module, parts: list[str]) -> bool:
    match parts:
        case []:
            return True
        case [name]:
            members = set[str]().union(*module.classes.values())
            return name in module.names or name in module.classes or name in members
        case [name, member]:
            return member in module.classes.get(name, ())
    return False


@cache
def _places() -> frozenset[str]:
    """Every file and folder."""
    found = [path for top in TOPS for path in (ROOT / top).rglob("*")]
    kept = [p for p in found if "__pycache__" not in p.parts]
    return frozenset(
        [str(p.relative_to(ROOT)) for p in kept] + [p.name for p in ROOT.iterdir()] + list(TOPS)
    )


@cache
def _modules() -> dict[tuple[str, ...], Module]:
    files = [path for top in ("probes", "tui", "tests") for path in (ROOT / top).rglob("*.py")]
    return {_parts(path): _read(path) for path in files}


def _parts(path: Path) -> tuple[str, ...]:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def _read(path: Path) -> Module:
    body = ast.parse(path.read_text()).body
    classes = {n.name: _defined(n.body) for n in body if isinstance(n, ast.ClassDef)}
    return Module(classes, _defined(body) - classes.keys())


def _defined(body: list[ast.stmt]) -> set[str]:
    found: set[str] = set()
    for node in body:
        for one in ast.walk(node) if isinstance(node, ast.If | ast.Try) else [node]:
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(one.name)
                found |= _own(one) if one.name == "__init__" else set()
            elif isinstance(one, ast.Assign | ast.AnnAssign):
                targets = one.targets if isinstance(one, ast.Assign) else [one.target]
                found |= {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
            elif isinstance(one, ast.Import | ast.ImportFrom):
                found |= {(alias.asname or alias.name).split(".")[0] for alias in one.names}
    return found


def _own(begin: ast.AST) -> set[str]:
    """The attributes that a class's beginning sets."""
    attributes = (n for n in ast.walk(begin) if isinstance(n, ast.Attribute))
    return {n.attr for n in attributes if isinstance(n.ctx, ast.Store)}


@cache
def _words() -> frozenset[str]:
    """Every identifier in the code, and every module."""
    kinds = ("*.py", "*.c", "*.h", "Makefile", "pyproject.toml")
    tops = [ROOT / top for top in ("probes", "tui", "tests")]
    files = [path for top in tops for kind in kinds[:3] for path in top.rglob(kind)]
    texts = [path.read_text() for path in files if path != Path(__file__)]
    texts += [(ROOT / name).read_text() for name in kinds[3:]]
    found = {word for text in texts for word in re.findall(r"[A-Za-z_]\w*", text)}
    return frozenset(found | {part for parts in _modules() for part in parts})


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_is_there(page: str) -> None:
    assert missing(named((ROOT / page).read_text())) == []


def test_what_is_not_there_would_be_found() -> None:
    gone = {
        "probes/nosuch.py", "nosuch.py", "tests/kernel/nosuch/", "Snapshot.nosuch", "NoSuch",
        "analysis.nosuch", "snapshot.Nosuch", "probes.analysis.snapshot.Snapshot.nosuch",
        "no_such_word_anywhere",
    }  # fmt: skip
    text = "".join(f"`{name}` " for name in sorted(gone))
    assert missing(named(text)) == sorted(gone)
    there = "`Snapshot.between` `analysis.snapshot` `probes/model.py` `snapshot.Trail` `design/`"
    assert missing(named(there)) == []


EVERY_PAGE = sorted(
    str(p.relative_to(ROOT)) for p in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
)


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_links_lead_somewhere_and_benches_are_there(page: str) -> None:
    text = (ROOT / page).read_text()
    links = [to for to in re.findall(r"\]\(([^)#]+)", text) if "://" not in to]
    made = {str(ROOT / f"docs/reference/{name}.md") for name in reference.PAGES}
    paths = {to: ((ROOT / page).parent / to).resolve() for to in links}
    assert [to for to, path in paths.items() if not path.exists() and str(path) not in made] == []
    benches = set(re.findall(r"BENCH=(\w+)", text + (ROOT / "Makefile").read_text()))
    assert [name for name in sorted(benches) if not (ROOT / f"bench/{name}.py").exists()] == []


def test_options_in_the_readme_and_the_pages_exist() -> None:
    """Of a command line that begins with `ebpftop`."""
    known = {flag for parser in parsers().values() for flag in parser._option_string_actions}
    wrong = []
    for page in EVERY_PAGE:
        for line in re.findall(r"(?<![\w/-])ebpftop (?!serve)[^`|\n]*", (ROOT / page).read_text()):
            command = re.split(r"\s{3,}", line)[0]
            wrong += [f for f in re.findall(r"(?<=\s)--[a-z-]+", command) if f not in known]
    assert wrong == []


def test_commands_in_the_readme_and_the_pages_exist() -> None:
    """The word behind `ebpftop` in examples of a shell."""
    wrong = []
    for page in EVERY_PAGE:
        for block in re.findall(r"```\n(.*?)```", (ROOT / page).read_text(), re.DOTALL):
            said = re.findall(r"^(?:sudo )?ebpftop {1,2}([a-z]\w*)", block, re.MULTILINE)
            wrong += [f"{page}: {word}" for word in said if word not in parsers()]
    assert wrong == []
