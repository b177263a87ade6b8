"""What users read is true: commands can be meant, links lead somewhere, sentences are ours."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from docs import build, reference
from probes.hooks import catalogue
from tests.support import papers
from tests.support.papers import PAGES, ROOT, Shown
from tui.commands import MONITOR, _parsing
from tui.screen.keymap import KEYS

EXAMPLES = sorted(set(papers.examples()))


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 110


def test_the_readme_has_what_a_new_user_reads_first() -> None:
    text = (ROOT / "README.md").read_text()
    assert text.count("![") == 1, "one moving picture"
    assert re.findall(r"^(\d)\. \*\*", text, re.MULTILINE) == ["1", "2", "3"], "what it is"
    parts = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)+)", text, re.MULTILINE))
    assert "make run" in parts["Install"]
    assert len(re.findall(r"^(?:sudo )?ebpftop", parts["Five commands"], re.MULTILINE)) == 5
    recipes = re.findall(r"^\*\*(.+?)\*\*", parts["Five recipes"], re.MULTILINE)
    assert recipes == [
        "Who drops my packets?",
        "Which connects fail?",
        "What is slow?",
        "What does this container do?",
        "Hand it over.",
    ]
    others = parts["When to use something else"]
    assert all(f"[{name}]" in others for name in ("bpftop", "bcc", "retis", "rustnet"))


def test_there_are_examples_on_every_page_that_tells_how() -> None:
    without = {"docs/index.md", "docs/findings.md", "docs/kernels.md", "docs/truth.md"}
    without |= {"docs/architecture.md", "docs/releases.md", "docs/guide/settings.md"}
    without |= {"docs/guide/screen.md"}
    named = {str(page.relative_to(ROOT)) for page in PAGES}
    assert named - {shown.page for shown in EXAMPLES} == without


@pytest.mark.parametrize("shown", EXAMPLES, ids=lambda shown: shown.line)
def test_a_command_in_the_papers_can_be_meant(
    shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = re.sub(r'"\$\([^)]*\)"', "1", shown.line)  # a process id
    words = shlex.split(papers.arguments(line))
    if words != ["--version"]:
        _parsing.parse(words)


def test_every_command_is_shown_somewhere() -> None:
    shown = " ".join(example.line for example in EXAMPLES)
    assert [name for name in _parsing.listed() if f"ebpftop {name}" not in shown] == ["help"]


def test_the_doors_that_are_named_are_in_the_makefile() -> None:
    doors = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = "\n".join(page.read_text() for page in (*PAGES, ROOT / "CONTRIBUTING.md"))
    assert set(re.findall(r"(?<![\w-])make ([a-z-]+)(?= |`|\n|$)", text)) - doors <= {"it"}


# -- the reference, made from the code ---------------------------------------------------------


def test_the_reference_has_every_key_hook_rung_column_and_option() -> None:
    keys, hooks, columns = (reference.page(name) for name in ("keys", "hooks", "columns"))
    assert [key.id for key in KEYS if key.help and f"`{key.id}`" not in keys] == []
    for hook in catalogue().values():
        assert f"## {hook.name}\n" in hooks
        assert all(f"| `{rung.name}` |" in hooks for rung in hook.ladder)
        shown = [c.name for c in (*hook.columns, *hook.log) if not c.hidden]
        assert [name for name in shown if f"| `{name}` |" not in columns] == []
    commands = reference.page("command-line")
    for name in (MONITOR, *_parsing.listed()):
        assert all(flag in commands for flag in _parsing.parsers()[name]._option_string_actions)


def test_the_reference_has_every_metric_that_the_demo_exports() -> None:
    code = (
        "import asyncio\n"
        "from probes.sources.demo.source import Demo\n"
        "from tui.prometheus.metrics import Exported\n"
        "async def read():\n"
        "    demo = Demo()\n"
        "    exported = Exported(demo.host, demo.catalogue, '')\n"
        "    await demo.start()\n"
        "    async for samples in demo.samples('interfaces'):\n"
        "        exported.take(samples); break\n"
        "    print(*[m.name for m in exported.collect()])\n"
        "    await demo.close()\n"
        "asyncio.run(read())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page, names = reference.page("metrics"), done.stdout.split()
    assert any(name.startswith("ebpftop_interfaces_rx") for name in names)
    unknown = [name for name in names if f"`{name}`" not in page]
    assert [name for name in unknown if name != "ebpftop_interfaces"] == [], "its words"


def test_the_reference_is_markdown() -> None:
    for name in reference.PAGES:
        page = reference.page(name)
        assert page.startswith("# ")
        tables = [line for line in page.splitlines() if line.startswith("|")]
        assert all(line.endswith("|") for line in tables), name


# -- troubleshooting: sentences that are in the code -------------------------------------------


@cache
def _texts() -> str:
    """Every text of the code, joined as the code joins them."""
    found = []
    for top in ("probes", "tui"):
        for path in sorted((ROOT / top).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
                    text = node.value
                    found.append(text if isinstance(text, str) else text.decode(errors="replace"))
    return "\n".join(found)


def test_what_troubleshooting_says_that_it_says_is_in_the_code() -> None:
    page = (ROOT / "docs/troubleshooting.md").read_text()
    quoted = []
    for table in re.findall(r"^\| it says .*\n\| -.*\n((?:\|.*\n)+)", page, re.MULTILINE):
        quoted += [line.split("|")[1].strip() for line in table.splitlines()]
    assert len(quoted) > 20
    texts = _texts()
    assert [text for text in quoted if text.strip("`") not in texts] == []


# -- the site ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("build") / "pages"
    folder.mkdir()
    build.pages(folder)
    return folder


def _slug(heading: str) -> str:
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", text).strip())


def test_every_link_leads_to_a_page_and_a_heading(pages: Path) -> None:
    wrong = []
    for page in sorted(pages.rglob("*.md")):
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for to in re.findall(r"\]\(([^)\s]+)\)", text):
            place, _, anchor = to.partition("#")
            if "://" in to:
                continue
            target = page if not place else (page.parent / place).resolve()
            if not target.exists():
                wrong.append(f"{page.relative_to(pages)}: {to}")
            elif anchor:
                heads = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
                if anchor not in map(_slug, heads):
                    wrong.append(f"{page.relative_to(pages)}: {to}")
    assert wrong == []


def test_every_page_is_in_the_navigation(pages: Path) -> None:
    told = set(re.findall(r"([\w/.-]+\.md)$", (ROOT / "docs/mkdocs.yml").read_text(), re.MULTILINE))
    assert told == {str(page.relative_to(pages)) for page in pages.rglob("*.md")}


def test_the_site_is_built_without_a_warning(pages: Path, tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    config = (ROOT / "docs/mkdocs.yml").read_text()
    (tmp_path / "mkdocs.yml").write_text(config.replace("../build/pages", str(pages)))
    command = [sys.executable, "-m", "mkdocs", "build", "-q", "-d", str(tmp_path / "site")]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env={"NO_MKDOCS_2_WARNING": "1"}
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert (tmp_path / "site" / "docs" / "reference" / "hooks.html").exists()
