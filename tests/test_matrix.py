"""The matrix of kernels: what its tables say, and what counts as a failure."""

from __future__ import annotations

import ast
import json
import sys
from importlib import metadata
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest

from tests.support.guest import boot
from tests.support.guest.report import Report, report
from tests.support.guest.results import PLAIN, Column, read

RUNGS = ["drops btf-tracepoint", "drops counters"]


def _case(name: str, body: str = "", **properties: str) -> str:
    said = "".join(
        f"<property name={quoteattr(k)} value={quoteattr(v)}/>" for k, v in properties.items()
    )
    return (
        f'<testcase classname="tests.kernel.test_rungs" name={quoteattr(name)} time="1">'
        f"<properties>{said}</properties>{body}</testcase>"
    )


def _column(tmp_path: Path, name: str, *cases: str) -> Column:
    file = tmp_path / f"{name}.xml"
    file.write_text(
        '<testsuites><testsuite><properties><property name="kernel" value="Debian 6.1.192-2"/>'
        f"</properties>{''.join(cases)}</testsuite></testsuites>"
    )
    results, versions = read(file)
    return Column(name, "6.1", 60.0, results, versions)


def _counted(rung: str, count: str) -> str:
    return _case(f"test_counts[drops:{rung}]", hook="drops", rung=rung, count=count)


def _ladder(situation: str, rung: str, obstacle: str = "") -> str:
    stands = json.dumps({"drops": rung})
    return _case(
        f"test_it[{situation}]", situation=situation, stands=stands, obstacle=obstacle
    ).replace("test_rungs", "test_obstacles")


def _row(made: Report, title: str, label: str) -> list[str]:
    (table,) = (t for t in made.tables if t.title == title)
    (row,) = (r for r in table.rows if r[0] == label)
    return row[1:]


def test_a_cell_has_the_count_and_marks_the_rung_that_the_ladder_takes(tmp_path: Path) -> None:
    cases = (
        _counted("btf-tracepoint", "25"),
        _ladder(PLAIN, "btf-tracepoint"),
        _counted("counters", "25"),
        _ladder("no privilege", "counters", "lacks CAP_BPF. Run it as root."),
    )
    made = report([_column(tmp_path, "one", *cases)], RUNGS)
    assert made.failures == []
    assert _row(made, "Rungs", "drops btf-tracepoint") == ["ok (25) *"]
    assert _row(made, "Rungs", "drops counters") == ["ok (25)"]
    table = "When something stands in the way"
    assert _row(made, table, "no privilege [1]: drops") == ["counters"]
    assert made.notes.lines() == ["[1] lacks CAP_BPF. Run it as root."]
    assert _row(made, "Versions", "kernel") == ["Debian 6.1.192-2"]


def test_a_rung_that_no_kernel_exercised_or_no_ladder_came_to_is_a_failure(tmp_path: Path) -> None:
    refused = _case(
        "test_counts[drops:counters]",
        '<skipped message="EINVAL: no"/>',
        rung="counters",
        hook="drops",
        refused="EINVAL: not here",
    )
    cases = (_counted("btf-tracepoint", "25"), refused, _ladder(PLAIN, "counters"))
    made = report([_column(tmp_path, "one", *cases)], RUNGS)
    assert made.failures == [
        "drops btf-tracepoint: no ladder here came to it by itself",
        "drops counters: no kernel here exercised it",
    ]
    assert _row(made, "Rungs", "drops counters") == ["refused EINVAL [1] *"]


def test_a_missing_kernel_and_a_failed_test_are_failures_with_their_words(tmp_path: Path) -> None:
    failed = _case("test_counts[drops:counters]", '<failure message="24 != 25"/>')
    columns = [_column(tmp_path, "one", failed), Column("5.10", "", trouble="missing: no mirror")]
    made = report(columns, [])
    assert made.failures == [
        "one: test_rungs::test_counts[drops:counters]: 24 != 25",
        "5.10: missing: no mirror",
    ]
    assert _row(made, "Rungs", "drops counters") == ["FAILED", "-"]
    assert made.text().endswith("FAILED  5.10: missing: no mirror")


def test_the_page_has_a_table_for_each_question(tmp_path: Path) -> None:
    page = report([_column(tmp_path, "one", _counted("counters", "a|b"))], []).markdown()
    assert "| drops counters | ok (a\\|b) |" in page
    assert page.index("## Rungs") < page.index("## Versions") < page.index("## Notes")


@pytest.mark.parametrize("kernel", boot.BOOTS, ids=lambda kernel: kernel.name)
def test_what_a_kernel_is_booted_for_is_there(kernel: boot.Boot) -> None:
    """A file or a test that was renamed would keep the whole matrix from beginning."""
    files = [name for name in boot.tests(kernel, []) if name.startswith("tests/")]
    assert len(files) == len(kernel.tests) > 0
    for name in files:
        path, _, test = name.partition("::")
        defined = {
            node.name
            for node in ast.walk(ast.parse((boot.ROOT / path).read_text()))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert not test or test.partition("[")[0] in defined, name


_OURS = {"bench", "probes", "tests", "tui"}


def _imported(tree: ast.Module) -> set[str]:
    """The packages that a file imports when it is collected."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - _OURS


def test_what_tests_import_goes_into_the_guest() -> None:
    """A guest collects all of tests/kernel, and one file that it cannot import fails the whole."""
    packed, by = boot.needed(("ebpftop", *boot.TESTING)), metadata.packages_distributions()
    tests = boot.ROOT / "tests"
    for path in (*(tests / "kernel").rglob("*.py"), *(tests / "support").glob("*.py")):
        for name in _imported(ast.parse(path.read_text())):
            assert {d.lower().replace("_", "-") for d in by[name]} & packed, (
                f"{path.name} imports {name}"
            )


def test_a_package_that_is_not_there_would_be_found() -> None:
    names = _imported(ast.parse("import os\nimport jsonschema\nfrom tests.support import x"))
    assert names == {"jsonschema"}
    assert names & boot.needed(("ebpftop", *boot.TESTING)) == set()
