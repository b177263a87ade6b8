"""Finding bcc, and what the compiler's answers become. Nothing here is compiled."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from probes.compile import bcc_worker
from probes.compile import compiler as bcc_compiler
from probes.errors import Denied, LoadFailed, ProbeError, Unsupported


def make_package(site: Path, **modules: str) -> None:
    package = site / "bcc"
    package.mkdir(parents=True)
    for name, text in {"__init__": "", **modules}.items():
        (package / f"{name}.py").write_text(text)


@pytest.fixture(autouse=True)
def _forget_bcc(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bcc", "bcc.libbcc"):
        monkeypatch.setitem(sys.modules, name, None)
        del sys.modules[name]


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The only place where packages are looked for."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(bcc_worker, "SITES", ())
    return tmp_path


@pytest.mark.usefixtures("alone")
def test_no_bcc_is_said() -> None:
    with pytest.raises(ImportError, match="is not installed"):
        bcc_worker.find_bcc()


def test_another_package_of_that_name_is_not_run_but_named(alone: Path) -> None:
    make_package(alone, __init__="raise SystemExit('was run')")
    with pytest.raises(ImportError, match=f"{alone}/bcc/__init__.py is an unrelated package"):
        bcc_worker.find_bcc()


def test_the_distributions_bcc_is_found_behind_another_package_of_that_name(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_package(alone / "pypi", __init__="raise SystemExit('was run')")
    make_package(alone / "dist", libbcc="", __init__="from . import libbcc\nthe_one = True")
    monkeypatch.setattr(sys, "path", [str(alone / "pypi")])
    monkeypatch.setattr(bcc_worker, "_sites", lambda: [str(alone / "dist")])
    assert bcc_worker.find_bcc().the_one


def test_a_bcc_that_cannot_be_imported_is_said_with_its_reason(alone: Path) -> None:
    make_package(alone, libbcc="raise OSError('libbcc.so.0: cannot open')")
    (alone / "bcc/__init__.py").write_text("from . import libbcc")
    with pytest.raises(ImportError, match=r"cannot be imported: libbcc\.so\.0: cannot open"):
        bcc_worker.find_bcc()


def test_a_refused_map_keeps_its_errno() -> None:
    log = "could not open bpf map: calls, error: Operation not permitted\n"
    answer = bcc_worker._failure("Failed to compile BPF module <text>", log)
    assert (answer["error"], answer["errno"]) == ("map", errno.EPERM)
    assert "calls" in answer["why"]


def test_anything_else_is_a_failed_compile() -> None:
    answer = bcc_worker._failure("Failed to compile BPF module <text>", "main.c:1: error: x\n")
    assert answer["error"] == "compile"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"error": "no-bcc", "why": "w", "remedy": "r"}, Unsupported),
        ({"error": "map", "why": "w", "errno": errno.EPERM}, Denied),
        ({"error": "map", "why": "w", "errno": errno.EINVAL}, Unsupported),
        ({"error": "compile", "why": "w"}, LoadFailed),
    ],
)
def test_each_answer_has_its_error(answer: dict[str, object], expected: type[ProbeError]) -> None:
    refusal = bcc_compiler._refusal(answer, "")
    assert type(refusal) is expected
    assert refusal.errno == answer.get("errno", 0)
    assert refusal.remedy or expected is not Denied


def test_importing_the_kernel_side_does_not_import_bcc() -> None:
    ours = "probes.compile.compiler, probes.compile.headers"
    code = f"import sys, {ours}; sys.exit('bcc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
