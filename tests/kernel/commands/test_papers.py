"""The commands that the papers show are run: on this kernel, for a shorter time.

The screen's are left to its own tests.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import papers
from tests.support.papers import ROOT, Shown

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]

PRINTS = ("completion", "doctor", "findings", "help", "hooks", "man", "once", "profile", "record")
BUSY = ROOT / "snapshots/recordings/busy.rec"


def _prints(shown: Shown) -> bool:
    words = papers.arguments(shown.line).split()
    first = words[0] if words else ""
    played = first == "replay" and {"--json", "--format"} & {*words}
    return first in (*PRINTS, "stream", "--version") or bool(played)


def _shorter(line: str) -> str:
    """The same for a moment, on the loopback interface, of processes that are there."""
    line = re.sub(r"--for \d+", "--for 0.5", line.removeprefix("sudo "))
    line = re.sub(r"-n \d+", "-n 2", re.sub(r"(--interval|-d) \d+", "--interval 0.5", line))
    if " profile" in line and " --for" not in line:
        line = line.replace(" profile", " profile --for 0.5")
    line = re.sub(r"\beth0\b", "lo", re.sub(r"(?<=pid==)\d+", str(os.getpid()), line))
    line = re.sub(r"(?<=-p )\d+", "1", line)
    line = re.sub(r"(?<=--netns )(\d+|web)\b", str(os.getpid()), line)
    if " stream" in line and " -n " not in line:
        line = line.replace(" stream", " stream -n 2")
    return re.sub(r"\| (mlr|page-somebody).*", "| cat", line)


RUN = sorted({_shorter(shown.line): shown for shown in papers.examples() if _prints(shown)}.items())
"""What is run, each once, and where it is shown."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home, and `ebpftop` on the path."""
    (tmp_path / "bin").mkdir()
    file = tmp_path / "bin" / "ebpftop"
    file.write_text(f'#!/bin/sh\nexec {sys.executable} -m tui.cli "$@"\n')
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return tmp_path


@pytest.mark.parametrize(("line", "shown"), RUN, ids=[line for line, _ in RUN])
def test_a_command_of_the_papers_does_what_it_says(line: str, shown: Shown, home: Path) -> None:
    if "replay" in line:
        shutil.copy(BUSY, home / "incident.rec")
    if "jq " in line and shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    for place in re.findall(r"> ~/(\S+)/", line):
        (home / place).mkdir(parents=True, exist_ok=True)
    path = f"{home / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path, "HOME": str(home), "PYTHONPATH": str(ROOT)},
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr
    told = (0, 1, 3) if " findings" in line else (0,)
    if done.returncode not in told:
        refused = done.returncode == 1 and re.search(r"ebpftop: .* on .*: E[A-Z]+: ", done.stderr)
        assert refused, f"{shown.page}: {line}: {done.returncode}: {done.stderr}"
        pytest.skip(f"this kernel refuses it: {done.stderr.splitlines()[-1]}")
