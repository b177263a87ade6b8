"""The screen is composed: what may inherit, who writes what, which names are private to a file.

Held by `ast` over the code. Imports and the order of packages are `test_imports.py`'s.
"""

from __future__ import annotations

import ast
import builtins
import errno
import importlib
import inspect
import re
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import rich
import textual

from tests.support.commands import readable_tree
from tests.support.points import kinds
from tui.screen.actions import groups
from tui.screen.keymap import KEYS

ROOT = Path(__file__).parents[1]
FILES = [p for top in ("probes", "tui") for p in sorted((ROOT / top).rglob("*.py"))]
SCREEN = sorted((ROOT / "tui" / "screen").rglob("*.py"))
TERMINAL = ROOT / "tui" / "terminal"

MAY_BE_INHERITED = {"tui.screen.context.Actions", "tui.terminal.app_base.TerminalApp"}
"""What a group of keys is, and what Textual's `App` is to the rest."""
TEXTUALS = {"display", "height", "theme"}
"""What Textual has its users write: of widgets, of their styles, of the app."""
STANDARD = {
    "_replace", "_make", "_asdict", "_fields",  # public, of named tuples
    "_exit",  # public, of os
    "_run_exitfuncs",  # atexit has no other way to run them now
    "_actions", "_option_string_actions",  # argparse has no other way to list them
    "_action_groups", "_group_actions",
}  # fmt: skip
"""Names of Python's own library that begin with an underscore."""


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def _nodes(tree: ast.Module) -> tuple[ast.AST, ...]:
    """All that stands in a tree: each test looks through it."""
    return tuple([node for node in ast.walk(tree) if not isinstance(node, _CONTEXT)])


_CONTEXT = ast.expr_context, ast.operator, ast.cmpop, ast.boolop, ast.unaryop


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


# -- inheritance ------------------------------------------------------------------------------


def _bases(tree: ast.Module, module: str) -> Iterator[tuple[str, str]]:
    """Return each class with a base of ours, by its full name."""
    names = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in _nodes(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    classes = [node for node in _nodes(tree) if isinstance(node, ast.ClassDef)]
    names |= {c.name: f"{module}.{c.name}" for c in classes}
    for c in classes:
        for base in c.bases:
            name = names.get(ast.unparse(base).partition("[")[0], ast.unparse(base))
            if name.startswith(("tui.", "probes.")):
                yield c.name, name


def test_no_class_of_the_screen_inherits_from_another_of_ours() -> None:
    found = [(c, base) for p in SCREEN for c, base in _bases(_tree(p), _module(p))]
    assert found, "groups of keys are Actions"
    assert {base for _, base in found} <= MAY_BE_INHERITED


def test_an_inheritance_would_be_found() -> None:
    text = "from tui.screen.place import Place\nclass A: ...\nclass B(A): ...\nclass C(Place): ..."
    found = set(_bases(ast.parse(text), "tui.screen.x"))
    assert found == {("B", "tui.screen.x.A"), ("C", "tui.screen.place.Place")}


# -- names ------------------------------------------------------------------------------------


def test_a_class_name_has_one_meaning() -> None:
    """With an underscore or without."""
    names = Counter(
        node.name.lstrip("_")
        for path in FILES
        for node in _nodes(_tree(path))
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, times in names.items() if times > 1] == []


_QUESTIONS = {
    "how",
    "what",
    "when",
    "where",
    "whether",
    "which",
    "who",
    "whose",
    "that",
    "those",
    "all",
}


def _questions(tree: ast.AST) -> list[str]:
    """Return public classes whose docstrings begin like an indirect question, not with a noun."""
    classes = [n for n in _nodes(tree) if isinstance(n, ast.ClassDef) and not _private(n.name)]
    texts = {c.name: (ast.get_docstring(c) or "").split(maxsplit=1) for c in classes}
    return [name for name, words in texts.items() if words and words[0].lower() in _QUESTIONS]


def test_the_docstring_of_a_class_begins_with_a_noun() -> None:
    """And that of a function with a verb, which ruff checks (D401)."""
    assert [name for path in FILES for name in _questions(_tree(path))] == []


def test_a_class_that_is_what_it_is_would_be_found() -> None:
    text = (
        'class A:\n    """What it is."""\nclass B:\n    """The whole."""\nclass _C:\n    """How."""'
    )
    assert _questions(ast.parse(text)) == ["A"]


# -- attach points ----------------------------------------------------------------------------

POINTS = {kind.__name__ for kind in kinds()}


def _asks_for_kinds(tree: ast.AST) -> list[str]:
    """Return where it is asked which kind of attach point one is."""
    found = []
    for node in _nodes(tree):
        asked: ast.AST | None = None
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
            asked = node.args[-1]
        elif isinstance(node, ast.match_case):
            asked = node.pattern
        names = {n.id for n in ast.walk(asked) if isinstance(n, ast.Name)} if asked else set()
        if names & POINTS:
            found.append(ast.unparse(node).splitlines()[0])
    return found


_RAISES = re.compile(r"\bRaises? ((?:_?[A-Z]\w*(?:, | and | or )?)+)")


def _unknown_exceptions(text: str, known: set[str]) -> list[str]:
    """Those that docstrings say are raised, and that no file has; private ones: not this file."""
    said = [word for found in _RAISES.findall(text) for word in re.findall(r"_?[A-Z]\w*", found)]
    private = set(re.findall(r"class (_\w+)", text))
    return [w for w in said if w not in known | private | set(dir(builtins)) | set(dir(errno))]


def test_exceptions_that_docstrings_name_exist() -> None:
    texts = {path: path.read_text() for path in FILES}
    known = {name for text in texts.values() for name in re.findall(r"class ([A-Z]\w+)", text)}
    wrong = {
        str(p): found for p, text in texts.items() if (found := _unknown_exceptions(text, known))
    }
    assert not wrong


def test_an_exception_of_another_name_would_be_found() -> None:
    text = '"""Ask. Raises _Gone, OSError."""\nclass _Here(Exception): ...'
    assert _unknown_exceptions(text, set()) == ["_Gone"]
    assert not _unknown_exceptions(text.replace("_Gone", "_Here"), set())


def test_nobody_asks_which_kind_of_attach_point_one_is() -> None:
    """It is asked what it does. lsm: which of the points of its own are always there."""
    found = {_module(p): _asks_for_kinds(_tree(p)) for p in FILES}
    found = {module: asked for module, asked in found.items() if asked}
    assert found.keys() <= {"probes.attach.uprobe", "probes.hooks.lsm.hook"}


def test_a_question_for_kinds_would_be_found() -> None:
    text = "isinstance(p, XdpLink | int)\nmatch p:\n case Kprobe(f): ...\n case Other(): ..."
    assert len(_asks_for_kinds(ast.parse(text))) == 2


# -- who writes what --------------------------------------------------------------------------


def _written_elsewhere(tree: ast.AST) -> list[str]:
    """Return the attributes that are written of something other than self."""
    found = []
    for node in _nodes(tree):
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            own = isinstance(node.value, ast.Name) and node.value.id == "self"
            if not own and node.attr not in TEXTUALS:
                found.append(ast.unparse(node))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "setattr":
            found.append(ast.unparse(node))
    return found


def test_no_attribute_is_written_by_another() -> None:
    found = {p: _written_elsewhere(_tree(p)) for p in SCREEN}
    assert {path: written for path, written in found.items() if written} == {}
    rich = ["self.console._color_system"]  # there is no other way
    assert _written_elsewhere(_tree(TERMINAL / "app_base.py")) == rich


def test_a_write_would_be_found() -> None:
    text = (
        "a.b = 1\nself.c = 2\nself.d.e += 1\nfor x.y in z: ...\nsetattr(q, 'r', 1)\na.display = 0"
    )
    found = set(_written_elsewhere(ast.parse(text)))
    assert found == {"a.b", "self.d.e", "x.y", "setattr(q, 'r', 1)"}


# -- private names ----------------------------------------------------------------------------


def _defined(tree: ast.AST) -> Iterator[str]:
    for node in _nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _from_elsewhere(tree: ast.AST) -> set[str]:
    """Return the private names that are used and not defined here. (A private module is its
    package's, which its users see from its path.)"""
    used = {n.attr for n in _nodes(tree) if isinstance(n, ast.Attribute)}
    for node in _nodes(tree):
        if isinstance(node, ast.ImportFrom) and not _is_package(node.module or ""):
            used |= {alias.name for alias in node.names}
    return {name for name in used if _private(name)} - set(_defined(tree)) - STANDARD


def _is_package(module: str) -> bool:
    return (ROOT.joinpath(*module.split(".")) / "__init__.py").exists()


def test_no_private_name_is_used_outside_its_file() -> None:
    """But for Textual's and Rich's, in tui/terminal."""
    elsewhere = {p: _from_elsewhere(_tree(p)) for p in FILES if p.parent != TERMINAL}
    assert {path: names for path, names in elsewhere.items() if names} == {}


def test_private_names_that_tui_terminal_uses_are_textual_s_or_rich_s() -> None:
    used = {name for path in TERMINAL.glob("*.py") for name in _from_elsewhere(_tree(path))}
    theirs: set[str] = set()
    for package in (textual, rich):
        for file in Path(package.__path__[0]).rglob("*.py"):
            theirs |= set(re.findall(r"\b_[a-z]\w*", file.read_text()))
    assert used - theirs == set()


def _named(tree: ast.AST) -> Iterator[str]:
    """Return the names of functions, methods and classes."""
    definitions = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return (node.name for node in _nodes(tree) if isinstance(node, definitions))


def test_textual_s_private_modules_are_imported_in_the_terminal_package_only() -> None:
    for path in FILES:
        if path.is_relative_to(TERMINAL):
            continue
        for node in _nodes(_tree(path)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("textual"):
                names = [*str(node.module).split("."), *(alias.name for alias in node.names)]
                assert not any(map(_private, names)), f"{path}: {ast.unparse(node)}"


def _ours_of_textual() -> list[type]:
    """Return the classes of ours that inherit from one of Textual's, outside of tui/terminal."""
    found = []
    for path in FILES:
        if path.is_relative_to(ROOT / "tui" / "widgets") or path.name == "app.py":
            module = importlib.import_module(_module(path))
            classes = [c for c in vars(module).values() if isinstance(c, type)]
            found += [c for c in classes if c.__module__ == module.__name__]
    return [c for c in found if any(b.__module__.startswith("textual.") for b in c.__mro__)]


@cache
def _private_of(c: type) -> frozenset[str]:
    """Return what a class defines in itself, and sets on its objects."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(c))).body
    assert isinstance(body, ast.ClassDef)
    targets = [t for node in body.body for t in getattr(node, "targets", ())]
    names = {*_named(body), *(t.id for t in targets if isinstance(t, ast.Name))}
    stores = [n for n in ast.walk(body) if isinstance(n, ast.Attribute)]
    names |= {n.attr for n in stores if isinstance(n.ctx, ast.Store)}
    return frozenset(name for name in names if _private(name))


@pytest.mark.parametrize("c", _ours_of_textual(), ids=lambda c: c.__name__)
def test_no_class_of_ours_replaces_what_is_private_to_textual(c: type) -> None:
    theirs = {n for b in c.__mro__ if b.__module__.startswith("textual.") for n in _private_of(b)}
    assert _private_of(c) & theirs == set()


# -- groups of keys ---------------------------------------------------------------------------


def test_every_key_calls_a_method_of_its_group() -> None:
    """With what is given; and no key is anywhere else."""
    for group in groups():
        for key in group.keys:
            method = getattr(group, key.action)
            inspect.signature(method).bind(None, *(() if key.given is None else (key.given,)))
    assert [key for group in groups() for key in group.keys] == list(KEYS)


def test_groups_do_not_see_each_other() -> None:
    """Nor what they are called by: the app, and what paints."""
    for path in (ROOT / "tui" / "screen" / "actions").glob("*.py"):
        for node in _nodes(_tree(path)):
            if isinstance(node, ast.ImportFrom):
                assert not str(node.module).startswith("tui.screen.actions"), path.name
                assert node.module not in ("tui.screen.app", "tui.screen.renderer"), path.name


USE = """
import asyncio
from probes.sources.demo.source import Demo
from tui.config.settings import Settings
from tui.screen.app import Monitor

async def use():
    app = Monitor(Demo(), settled=Settings(keys={"undo": ("ctrl+r",)}))
    async with app.run_test(size=(120, 200)) as pilot:
        await pilot.press("2", "o")
        await pilot.pause()
        print("toast:", *[n.message for n in app._notifications])
        await pilot.press("question_mark")
        print("HELP", app.report.text())
        await pilot.press("escape", "ctrl+p")
        print("PALETTE", *[row.name for row in app.table.rows], sep="\\n")

asyncio.run(use())
"""


def test_a_group_of_keys_is_one_file() -> None:
    """That of CONTRIBUTING.md, put into a copy without another line: key, help and palette."""
    page = (ROOT / "CONTRIBUTING.md").read_text()
    (code,) = re.findall(r"```python\n(from tui\.screen\.context.*?)```", page, re.DOTALL)
    with readable_tree() as place:
        (place / "tui" / "screen" / "actions" / "my_keys.py").write_text(code)
        done = subprocess.run(
            [sys.executable, "-c", USE], cwd=place, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    toast, rest = done.stdout.split("HELP")
    help, palette = rest.split("PALETTE")
    assert re.search(r"toast: \d+ rows", toast)
    assert "   o         say how many rows there are" in help
    assert "Say how many rows there are" in palette


# -- C in files of its own --------------------------------------------------------------------

MOST_C = 30
"""Lines of C in a Python file; more goes to `.c` files beside it."""
WRITES_C = {"probes/hooks/lsm/source.py", "probes/custom/source.py"}
"""Files that write C for each check or spec: what is not a template is in `.c` files there, too."""


def _lines_of_c(tree: ast.Module) -> Iterator[int]:
    """Return the lines of each string that looks like C."""
    told = {id(node.value) for node in _nodes(tree) if isinstance(node, ast.Expr)}
    for node in _nodes(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            lines = node.value.strip().splitlines()
            if sum(line.rstrip().endswith((";", "{", "}")) for line in lines) * 2 > len(lines):
                yield len(lines)


def test_more_than_a_few_lines_of_c_are_in_files_of_their_own() -> None:
    found = {str(path.relative_to(ROOT)): [*_lines_of_c(_tree(path))] for path in FILES}
    counted = {p: max(n, default=0) if p in WRITES_C else sum(n) for p, n in found.items()}
    assert {path: lines for path, lines in counted.items() if lines > MOST_C} == {}


def test_c_in_a_string_would_be_found() -> None:
    tree = ast.parse('"""Doc; {\n};"""\nA = """\nint a;\nint f(void) {\n    return 0;\n}\n"""\n')
    assert list(_lines_of_c(tree)) == [4]
