"""Imports go one way: docs/architecture.md as a test."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_VALUES = ("model", "snapshot", "units", "errors", "points", "rules", "hits")
_DRAWN = ("flows", "funnel", "drop_stages", "cells", "frames", "moments")
_TAPES = ("recorded", "recording", "tape")
SEEN = (*_VALUES, *_DRAWN, *_TAPES)
SCREEN_SEES = {f"probes.{m}" for m in SEEN}
KNOWS_BOTH = {
    "tui.arguments",
    "tui.batch",
    "tui.cli",
    "tui.output",
    "tui.recordings",
    "tui.reports",
    "tui.schema",
}
_ATTACHING = (
    "attachment",
    "bcc_compiler",
    "enforcement",
    "features",
    "headers",
    "kernel",
    "lasting",
    "links",
    "live",
    "tables",
)
ATTACHES = {f"probes.{m}" for m in _ATTACHING}


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {_name(p): p for top in ("probes", "tui") for p in sorted((ROOT / top).rglob("*.py"))}


@cache
def _imports(module: str, *, late: bool) -> frozenset[str]:
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


def _ours(names: Iterable[str]) -> set[str]:
    return {n for n in names if n in FILES}


def _reached(start: str) -> set[str]:
    """Everything of ours that a module needs, through others too."""
    seen: set[str] = set()
    todo = [start]
    while todo:
        new = _ours(_imports(todo.pop(), late=True)) - seen
        seen |= new
        todo += new
    return seen


def _who_imports(package: str) -> set[str]:
    return {
        m
        for m in FILES
        if any(n == package or n.startswith(package + ".") for n in _imports(m, late=True))
    }


def test_the_kernel_side_knows_no_screen() -> None:
    for foreign in ("textual", "rich", "tui"):
        assert not {m for m in _who_imports(foreign) if m.startswith("probes")}


def test_only_the_compiler_s_child_has_bcc_in_it_and_nobody_imports_that() -> None:
    assert _who_imports("bcc") <= {"probes.bcc_compiler"}
    assert not _who_imports("probes.bcc_compiler")
    assert not _ours(_imports("probes.bcc_compiler", late=True)), "it is run by path"


def test_only_one_module_imports_pyroute2_and_only_when_it_is_called() -> None:
    assert _who_imports("pyroute2") == {"probes.iproute"}
    at_once = {n for n in _imports("probes.iproute", late=False) if n.startswith("pyroute2")}
    assert not at_once, "it takes 0.17 s"


@pytest.mark.parametrize("module", sorted(m for m in FILES if m.startswith("tui")))
def test_the_screen_sees_values_only(module: str) -> None:
    seen = {n for n in _imports(module, late=True) if n.startswith("probes")}
    if module not in KNOWS_BOTH:
        assert seen <= SCREEN_SEES


def test_output_needs_no_kernel_side_and_no_textual() -> None:
    for module in KNOWS_BOTH - {"tui.batch", "tui.cli"}:
        assert not {n for n in _imports(module, late=True) if n.startswith("textual")}
    assert {n for n in _imports("tui.output", late=True) if n.startswith("probes")} <= SCREEN_SEES


@pytest.mark.parametrize(
    "leaf", ["errors", "units", "points", "rules", "decode", "privilege", "bpf"]
)
def test_leaves_import_nothing_of_ours(leaf: str) -> None:
    assert not _ours(_imports(f"probes.{leaf}", late=True))


def test_the_model_sees_errors_points_rules_and_units_only() -> None:
    wanted = {f"probes.{m}" for m in ("errors", "points", "rules", "units")}
    assert _ours(_imports("probes.model", late=True)) == wanted


@pytest.mark.parametrize("hook", sorted(m for m in FILES if m.startswith("probes.hooks.")))
def test_hooks_are_data_and_reach_nothing_that_attaches(hook: str) -> None:
    assert not _reached(hook) & (ATTACHES | {"probes.doctor", "probes.demo"})


def test_the_demo_reaches_nothing_that_attaches() -> None:
    assert not _reached("probes.demo") & ATTACHES


def test_another_host_takes_nothing_that_attaches_here() -> None:
    for module in ("remote", "serving"):
        assert not _reached(f"probes.{module}") & (ATTACHES | {"probes.demo"})
    assert _who_imports("prometheus_client") <= {"tui.export", "tui.metrics"}


@pytest.mark.parametrize(
    ("below", "above"),
    [
        ("refusals", {"links", "perf", "features"}),
        ("perf", {"links", "features"}),
        ("links", {"features", "attachment", "live", "doctor", "kernel"}),
        ("features", {"attachment", "live", "doctor"}),
        ("kernel", {"attachment", "live", "doctor", "links"}),
        ("lasting", {"links", "features", "attachment", "live"}),
        ("attachment", {"live", "doctor"}),
        ("netlink", {"links", "model", "readers"}),
        ("tables", {"kernel", "model"}),
    ],
)
def test_lower_modules_do_not_reach_higher_ones(below: str, above: set[str]) -> None:
    assert not _reached(f"probes.{below}") & {f"probes.{m}" for m in above}


@pytest.mark.parametrize("package", ["probes", "tui"])
def test_no_module_imports_itself_through_others(package: str) -> None:
    edges = {m: _ours(_imports(m, late=False)) - {m} for m in FILES if m.split(".")[0] == package}
    assert not _cycle(edges)


def _cycle(edges: Mapping[str, set[str]]) -> set[str]:
    """What is left when modules that need nothing any more are taken away again and again."""
    left = dict(edges)
    while free := {m for m, needs in left.items() if not needs & left.keys()}:
        left = {m: needs for m, needs in left.items() if m not in free}
    return set(left)


def test_a_cycle_would_be_found() -> None:
    assert _cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": set()}) == set("abcd")


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
    loaded = _loaded("import tui.cli")
    assert not loaded & ({"textual", "rich", "pyroute2", "bcc", "probes.bpf"} | ATTACHES)


def test_the_catalogue_and_the_demo_load_nothing_that_attaches() -> None:
    loaded = _loaded("from probes.demo import Demo; from probes.hooks import catalogue; Demo()")
    assert "probes.hooks.drops" in loaded
    assert not loaded & ({"textual", "pyroute2", "bcc"} | ATTACHES)


def test_the_live_source_loads_neither_bcc_nor_pyroute2_nor_textual() -> None:
    assert not _loaded("import probes.live") & {"textual", "rich", "pyroute2", "bcc"}
