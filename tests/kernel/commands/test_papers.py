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


RUN = sorted({shown for shown in papers.examples() if _prints(shown)})


def _shorter(line: str) -> str:
    """The same for a second, on the loopback interface, of processes that are there."""
    line = re.sub(r"--for \d+", "--for 1", line)
    line = re.sub(r"\beth0\b", "lo", re.sub(r"(?<=pid==)\d+", str(os.getpid()), line))
    line = re.sub(r"(?<=-p )\d+", "1", line)
    if " stream" in line and " -n " not in line:
        line = line.replace(" stream", " stream -n 2")
    return re.sub(r"\| (mlr|page-somebody).*", "| cat", line)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a recording, and `ebpftop` and `sudo` on the path."""
    programs = {"ebpftop": f'cd "$PWD"; exec {sys.executable} -m tui.cli "$@"', "sudo": 'exec "$@"'}
    (tmp_path / "bin").mkdir()
    for name, code in programs.items():
        file = tmp_path / "bin" / name
        file.write_text(f"#!/bin/sh\n{code}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return tmp_path


@pytest.mark.parametrize("shown", RUN, ids=lambda shown: shown.line)
def test_a_command_of_the_papers_does_what_it_says(shown: Shown, home: Path) -> None:
    line = _shorter(shown.line)
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
        assert refused, f"{line}: {done.returncode}: {done.stderr}"
        pytest.skip(f"this kernel refuses it: {done.stderr.splitlines()[-1]}")
