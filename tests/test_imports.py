"""Each package imports only those before it: docs/architecture.md as a test."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Ground first. Those of one line do not see each other.
PROBES = (
    "errors units drop_rule",
    "arrays point",
    "kernel model",
    "columns",
    "source",
    "attach compile analysis owners",
    "toolkit ladder recording",
    "foreign doctor droprules capture",
    "hooks",
    "custom",
    "sources",
)
TUI = (
    "config time_expr prometheus",
    "table output",
    "session terminal",
    "widgets",
    "toolkit",
    "panes",
    "screen",
    "commands",
    "cli",
    "launcher",
)
TUI_SEES = ["errors", "units", "drop_rule", "model", "source", "analysis", "recording"]
TUI_SEES += ["arrays", "columns"]
"""Of `probes`; `tui.commands` sees all of it."""
ONLY_IN = {
    "bcc": "probes.compile.bcc_worker",
    "pyroute2": "probes.kernel.netlink.changes",
    "prometheus_client": "tui.prometheus",
}


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {_name(p): p for top in ("probes", "tui") for p in sorted((ROOT / top).rglob("*.py"))}
LEVEL = {
    f"{top}.{name}": level
    for top, order in (("probes", PROBES), ("tui", TUI))
    for level, names in enumerate(order)
    for name in names.split()
}


def _package(module: str) -> str:
    return ".".join(module.split(".")[:2])


@cache
def _imports(module: str, *, late: bool = True) -> frozenset[str]:
    """What a module imports, ours by full name. late: also inside functions and for typing."""
    tree = ast.parse(FILES[module].read_text())
    nodes = ast.walk(tree) if late else _at_import(tree)
    return frozenset(name for node in nodes for name in _named(module, node))


def _at_import(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _at_import(child)


def _named(module: str, node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.module, f"{module} imports relatively"
        assert node.level == 0, f"{module} imports relatively"
        members = [f"{node.module}.{alias.name}" for alias in node.names]
        modules = [m for m in members if m in FILES]
        yield from modules
        if len(modules) < len(members):
            yield node.module


def test_each_package_imports_only_what_stands_before_it() -> None:
    assert [why for module in FILES for why in _misplaced(module)] == []


def _misplaced(module: str) -> Iterator[str]:
    mine = _package(module)
    for name in _imports(module):
        theirs = _package(name)
        if name not in FILES or theirs == mine or mine not in LEVEL:
            continue
        if theirs.split(".")[0] == mine.split(".")[0]:
            if LEVEL[theirs] >= LEVEL[mine]:
                yield f"{module} imports {name}"
        elif not mine.startswith("tui."):
            yield f"{module} imports {name}: probes knows no screen"
        elif theirs.split(".")[1] not in TUI_SEES and mine != "tui.commands":
            yield f"{module} imports {name}"


def test_an_import_of_a_later_package_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LEVEL, "probes.kernel", len(PROBES))
    assert next(_misplaced("probes.hooks.programs.attach_points")).startswith("probes.hooks.")


@pytest.mark.parametrize("top", ["probes", "tui"])
def test_every_package_has_its_place_in_the_order(top: str) -> None:
    here = {_package(m) for m in FILES if m != top and m.startswith(f"{top}.")}
    assert here <= LEVEL.keys()
    assert not [p for p in (ROOT / top).rglob("*.py") if not (p.parent / "__init__.py").exists()]


@pytest.mark.parametrize("foreign", ONLY_IN)
def test_what_others_wrote_is_imported_in_one_place(foreign: str) -> None:
    who = {m for m in FILES if any(n.split(".")[0] == foreign for n in _imports(m))}
    assert {m for m in who if not f"{m}.".startswith(f"{ONLY_IN[foreign]}.")} == set()


NO_TEXTUAL = ("probes", "tui.output", "tui.prometheus", "tui.table", "tui.session")


def test_what_runs_without_a_screen_knows_no_textual() -> None:
    for module in FILES:
        if module.startswith(NO_TEXTUAL):
            assert not {n for n in _imports(module) if n.split(".")[0] == "textual"}, module


def test_nobody_imports_the_compiler_s_child_nor_it_anything_of_ours() -> None:
    child = "probes.compile.bcc_worker"
    assert not {m for m in FILES if child in _imports(m)}
    assert not {n for n in _imports(child) if n in FILES}, "it is run by path"


def test_pyroute2_is_imported_when_it_is_called() -> None:
    at_once = _imports("probes.kernel.netlink.changes", late=False)
    assert not {n for n in at_once if n.startswith("pyroute2")}, "it takes 0.17 s"


@pytest.mark.parametrize("top", ["probes", "tui"])
def test_no_module_imports_itself_through_others(top: str) -> None:
    edges = {
        m: {n for n in _imports(m, late=False) if n in FILES} - {m}
        for m in FILES
        if m.split(".")[0] == top
    }
    assert not _cycle(edges)


def _cycle(edges: Mapping[str, set[str]]) -> set[str]:
    """What is left when modules that need nothing any more are taken away again and again."""
    left = dict(edges)
    while free := {m for m, needs in left.items() if not needs & left.keys()}:
        left = {m: needs for m, needs in left.items() if m not in free}
    return set(left)


def test_a_cycle_would_be_found() -> None:
    assert _cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": set()}) == set("abcd")


# -- what is loaded ---------------------------------------------------------------------------

ATTACHES = {
    "probes.compile.compiler",
    "probes.compile.headers",
    "probes.droprules.enforcer",
    "probes.kernel.maps",
    "probes.ladder.attachment",
    "probes.ladder.features",
    "probes.sources.live.source",
}
"""What compiles, climbs or reads maps: heavy, and not for who only wants to know what there is."""


def _loaded(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


def test_the_command_line_loads_neither_the_screen_nor_the_kernel_side() -> None:
    loaded = _loaded("from tui.cli import parse; parse(['--observe-only', 'once'])")
    assert not loaded & {"textual", "rich", "numpy", "pyroute2", "bcc", *ATTACHES}


@pytest.mark.parametrize("command", ["--help", "hooks", "hooks --json", "doctor"])
def test_what_needs_no_numbers_loads_neither_numpy_nor_textual(command: str) -> None:
    quietly = "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()):"
    loaded = _loaded(f"{quietly} from tui import cli; assert cli.main({command.split()}) == 0")
    assert not loaded & {"textual", "numpy"}


def test_few_rows_are_read_and_shown_without_numpy() -> None:
    quietly = "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()):"
    once = "['once', '--for', '0.2', '--hook', 'interfaces', '--hook', 'qdiscs']"
    loaded = _loaded(f"{quietly} from tui import cli; assert cli.main({once}) == 0")
    assert "numpy" not in loaded


def test_panes_are_there_without_numpy() -> None:
    """The first paint waits for nothing that only many rows need."""
    code = "import tui.panes as p; p.panes({}); import tui.widgets.live_table"
    assert "numpy" not in _loaded(code)


def test_without_numpy_one_sentence_says_what_to_do() -> None:
    code = "import sys; sys.modules['numpy'] = None; from tui import cli; sys.exit(cli.main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "once", "--for", "0.1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"ebpftop: numpy is not installed\. Install numpy 1\.24.*\n", done.stderr)


def test_numpy_is_loaded_with_one_thread() -> None:
    code = "from probes.arrays import np; import os; print(np.zeros(2).tolist(), os.listdir"
    code += "('/proc/self/task').__len__())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[0.0, 0.0] 1\n"


def test_the_catalogue_and_the_demo_load_nothing_that_attaches() -> None:
    loaded = _loaded(
        "from probes.sources.demo.source import Demo; from probes.hooks import catalogue; Demo()"
    )
    assert "probes.hooks.drops.hook" in loaded
    assert not loaded & {"textual", "numpy", "pyroute2", "bcc", *ATTACHES}


def test_the_live_source_loads_neither_bcc_nor_pyroute2_nor_textual() -> None:
    loaded = _loaded("import probes.sources.live.source")
    assert not loaded & {"textual", "rich", "pyroute2", "bcc"}


# -- the map ----------------------------------------------------------------------------------


def test_the_map_in_the_architecture_page_is_the_tree() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    drawn = set(re.findall(r"^((?:probes|tui)/[a-z_/]*)(?= )", page, re.MULTILINE))
    here = {
        f"{p.parent.relative_to(ROOT)}/"
        for top in ("probes", "tui")
        for p in (ROOT / top).rglob("__init__.py")
    }
    assert drawn == here
