"""`make release-check`: what must be true before a version is tagged, or a sentence on what is not.

`python -m docs.release`. Exit status: 0 all is true, 1 something is not.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
import venv
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LICENCES = ("LICENSE", "LICENSE.GPL-2.0")
MUST_HOLD = (
    "ebpftop/__init__.py",
    "ebpftop/themes/dark.toml",
    "ebpftop/tui/commands/shells/ebpftop.bash",
    "ebpftop/probes/compile/include/hooks.h",
    "ebpftop/probes/hooks/drops/hook.py",
)
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:-[\w.]+)?")
COMMANDS = (("--version",), ("hooks",), ("man",), ("once", "--hook", "interfaces", "--for", "0"))
"""What is run from the package, in an environment that has nothing else."""


def wrong_version(version: str, tags: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with the version, given the tags so far."""
    found = _VERSION.fullmatch(version)
    if found is None:
        yield f"version {version} is not MAJOR.MINOR.PATCH (semver.org)"
        return
    before = [match for tag in tags if (match := _VERSION.fullmatch(tag.removeprefix("v")))]
    last = max((_numbers(match) for match in before), default=(-1, 0, 0))
    if _numbers(found) <= last:
        yield f"version {version} is not greater than v{'.'.join(map(str, last))}, the last tag"


def _numbers(found: re.Match[str]) -> tuple[int, ...]:
    return tuple(map(int, found.groups()))


def wrong_changelog(version: str, text: str) -> Iterator[str]:
    """Yield what the changelog lacks for this version."""
    head = re.search(rf"^## {re.escape(version)}\b(.*)$", text, re.MULTILINE)
    if head is None:
        yield f"CHANGELOG.md has no section ## {version}"
        return
    if not re.fullmatch(r" - \d{4}-\d{2}-\d{2}", head[1]):
        yield f"CHANGELOG.md: write the date: ## {version} - YYYY-MM-DD"
    section = text[head.end() :].partition("\n## ")[0]
    if not re.search(r"^- \S", section, re.MULTILINE):
        yield f"CHANGELOG.md says nothing of {version}"
    kinds = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
    strange = set(re.findall(r"^### (.+)$", section, re.MULTILINE)) - {*kinds}
    if strange:
        yield f"CHANGELOG.md: {', '.join(sorted(strange))} is no group of Keep a Changelog"


def wrong_tree(status: str) -> Iterator[str]:
    """Yield that something is not committed. status: what `git status --porcelain` says."""
    if status.strip():
        yield f"not committed: {', '.join(line[3:] for line in status.splitlines()[:5])}"


def wrong_wheel(wheel: Path) -> Iterator[str]:
    """Yield what the package lacks."""
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
    yield from (f"the package lacks {name}" for name in MUST_HOLD if name not in names)
    for name in LICENCES:
        if not any(held.endswith(f"licenses/{name}") for held in names):
            yield f"the package lacks the licence text {name}"


def wrong_start(wheel: Path, folder: Path) -> Iterator[str]:
    """Yield what fails when the package is installed into an empty environment."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    done = _run(str(python), "-m", "pip", "install", "-q", str(wheel))
    if done.returncode:
        yield f"the package cannot be installed: {(done.stderr.splitlines() or ['?'])[-1]}"
        return
    for words in COMMANDS:
        done = _run(str(folder / "bin" / "ebpftop"), *words, cwd=folder)
        if done.returncode or "Traceback" in done.stderr:
            yield f"ebpftop {' '.join(words)} ends with {done.returncode}: {done.stderr.strip()}"


def wrong_picture() -> Iterator[str]:
    """Yield that the README's moving picture is not what the demo's tour shows."""
    from docs import moving_picture

    if moving_picture.FILE.read_text() != moving_picture.made():
        yield "docs/tour.svg is not what the tour shows: .venv/bin/python -m docs.moving_picture"


def wrong_docs() -> Iterator[str]:
    """Yield that the site cannot be built."""
    done = _run("make", "docs")
    if done.returncode:
        yield f"make docs: {(done.stderr.splitlines() or ['?'])[-1]}"


def _run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def _built(folder: Path) -> Path:
    """Build the package; return its file. Raises CalledProcessError."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def check() -> Iterator[str]:
    """Yield everything that is wrong, as it is found."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    version = project["version"]
    yield from wrong_version(version, _run("git", "tag", "-l", "v*").stdout.split())
    yield from wrong_changelog(version, (ROOT / "CHANGELOG.md").read_text())
    yield from wrong_tree(_run("git", "status", "--porcelain").stdout)
    with tempfile.TemporaryDirectory() as folder:
        wheel = _built(Path(folder))
        yield from wrong_wheel(wheel)
        yield from wrong_start(wheel, Path(folder) / "venv")
    yield from wrong_picture()
    yield from wrong_docs()


def main() -> int:
    wrong = 0
    for sentence in check():
        print(f"release-check: {sentence}", file=sys.stderr)
        wrong += 1
    if not wrong:
        print("release-check: all is as it must be: tag it", file=sys.stderr)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
